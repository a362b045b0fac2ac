"""The recent history of events, for viewers that connect late, lag or reconnect."""

from __future__ import annotations

import secrets
import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Any

from edge.streaming.event_tracker import Event
from edge.streaming.pipeline import Caption
from edge.streaming.results import WindowResult

KEPT = 2000  # Maximum number of events in the history: some hours of a busy room.


@dataclass(frozen=True)
class Record:
    """The newest state of an event."""

    change: int  # Number of the change that led to this state, from 1 on.
    key: int  # Number of the event, the same for all its states in this run.
    result: WindowResult
    event: Event

    def data(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return {"key": self.key, **self.result.record(self.event)}


class Feed:
    """The newest state of each recent event. One thread pushes results; any thread may read.

    Viewers need no queues of their own. A slow viewer gets the events that have changed since its
    last message, each only once.
    """

    def __init__(self) -> None:
        self.run = secrets.token_hex(4)  # Random id of this run, which marks its changes.
        self.events: Counter[str] = Counter()  # Number of events opened, by device.
        self.last: dict[str, Caption] = {}  # Newest caption, by device.
        self.changes = 0  # Number of changes so far.
        self._records: OrderedDict[int, Record] = OrderedDict()  # By key, newest change last.
        self._open: dict[tuple[str, int], int] = {}  # Key by device and event number.
        self._lock = threading.Lock()  # Held to push results and to read `_records`.

    def push(self, result: WindowResult) -> None:
        """Add the caption of a window and its event changes."""
        with self._lock:
            if result.caption is not None:
                self.last = {**self.last, result.device: result.caption}
            for event in result.events:
                self._take(result, event)

    def _take(self, result: WindowResult, event: Event) -> None:
        event_id = result.device, event.number  # A later tracker of the device may reuse it.
        key = self._open.get(event_id)
        if key is None:
            key = self._open[event_id] = sum(self.events.values()) + 1
            self.events[result.device] += 1
        if not event.open:
            del self._open[event_id]
        self.changes += 1
        self._records[key] = Record(self.changes, key, result, event)
        self._records.move_to_end(key)
        if len(self._records) > KEPT:
            self._records.popitem(last=False)

    def since(self, change: int) -> list[Record]:
        """Return the records that changed after `change`, in the order of their last change.

        With `change` 0, return all records.
        """
        if change >= self.changes:
            return []
        found = []
        with self._lock:
            for record in reversed(self._records.values()):
                if record.change <= change:
                    break
                found.append(record)
        return found[::-1]

    def history(self, device: str | None = None) -> list[Record]:
        """Return the records of all devices, or of `device`, in the order of opening."""
        records = [r for r in self.since(0) if device in (None, r.result.device)]
        return sorted(records, key=lambda record: record.key)

    def mark(self, change: int) -> str:
        """Return the mark with which a viewer can resume after `change`."""
        return f"{self.run}-{change}"

    def after(self, mark: str) -> int:
        """Return the change number of `mark`; 0 if the mark is invalid or from another run."""
        run, _, change = mark.partition("-")
        known = run == self.run and change.isdecimal() and len(change) < 20
        return min(int(change), self.changes) if known else 0
