"""What was heard of late, for viewers that come, go, lag and come back."""

from __future__ import annotations

import secrets
import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Any

from edge.streaming.event_tracker import Event
from edge.streaming.pipeline import Caption
from edge.streaming.results import WindowResult

KEPT = 2000  # events, some hours of a lively room


@dataclass(frozen=True)
class Record:
    """An event as it is known now."""

    change: int  # number of the change that made it so, from 1 on
    key: int  # the same for all that is said of this event in this run
    heard: WindowResult
    event: Event

    def data(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"key": self.key, **self.heard.record(self.event)}


class Feed:
    """Takes what is heard in one thread; any other reads. It holds one record for each event.

    So there is no queue for each viewer: one that was slow is given what has changed since it was
    last given something, and each event but once.
    """

    def __init__(self) -> None:
        self.run = secrets.token_hex(4)  # tells the changes of this run from those of the last
        self.events: Counter[str] = Counter()  # that opened, by device
        self.last: dict[str, Caption] = {}  # window, by device
        self.changes = 0
        self._records: OrderedDict[int, Record] = OrderedDict()  # by key, last changed last
        self._open: dict[tuple[str, int], int] = {}  # keys, by device and number
        self._lock = threading.Lock()

    def push(self, heard: WindowResult) -> None:
        """Take a window, and what it makes of the events."""
        with self._lock:
            if heard.caption is not None:
                self.last = {**self.last, heard.device: heard.caption}
            for event in heard.events:
                self._take(heard, event)

    def _take(self, heard: WindowResult, event: Event) -> None:
        who = heard.device, event.number  # which another track of the device may use again
        key = self._open.get(who)
        if key is None:
            key = self._open[who] = sum(self.events.values()) + 1
            self.events[heard.device] += 1
        if not event.open:
            del self._open[who]
        self.changes += 1
        self._records[key] = Record(self.changes, key, heard, event)
        self._records.move_to_end(key)
        if len(self._records) > KEPT:
            self._records.popitem(last=False)

    def since(self, change: int) -> list[Record]:
        """What has changed after `change`, in that order; 0 is before all."""
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
        """All that is kept, or of one device, in the order of opening."""
        records = [r for r in self.since(0) if device in (None, r.heard.device)]
        return sorted(records, key=lambda record: record.key)

    def mark(self, change: int) -> str:
        """What a viewer may come back with."""
        return f"{self.run}-{change}"

    def after(self, mark: str) -> int:
        """The change that `mark` stands for; 0, which is before all, if it is of another run."""
        run, _, change = mark.partition("-")
        known = run == self.run and change.isdecimal() and len(change) < 20
        return min(int(change), self.changes) if known else 0
