"""The queue of one sink and its drop policy.

A full queue drops entries in this order, oldest first:

1. windows that change no event, if a newer window of the same device waits;
2. event states for which a newer state waits, events that have ended and whose start the sink has
   not seen, and the windows that are then left without an event.

The queue never drops the end of an event whose start the sink has seen. It never drops the newest
state of an active event. A sink that has emptied its queue therefore knows all active events,
whatever was dropped before. The few entries that cannot be dropped may exceed the limit.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace

from edge.streaming.results import WindowResult

Key = tuple[str, int]  # Device label and number of an event.


class Backlog:
    """The windows that wait for one sink, oldest first. The caller holds a lock around each call.

    Parameters
    ----------
    limit
        Maximum number of windows, apart from those that cannot be dropped.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[WindowResult] = deque()
        self._begun: set[Key] = set()  # Events whose start, but not end, the sink has seen.

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, result: WindowResult) -> int:
        """Append `result` and return the number of windows dropped to make room."""
        dropped = self._make_room() if len(self._waiting) >= self._limit else 0
        self._waiting.append(result)
        return dropped

    def pop(self) -> WindowResult:
        """Remove and return the oldest window; the sink counts as having seen it."""
        result = self._waiting.popleft()
        for event in result.events:
            key = result.device, event.number
            if event.open:
                self._begun.add(key)
            else:
                self._begun.discard(key)
        return result

    def _make_room(self) -> int:
        """Drop 1 % of the queue at once, so that not every push scans the whole queue."""
        count = max(1, self._limit // 100)
        return self._drop(count, events_too=False) or self._drop(count, events_too=True)

    def _drop(self, count: int, events_too: bool) -> int:
        """Drop up to `count` windows that may be dropped and return the number dropped."""
        windows = Counter(h.device for h in self._waiting if h.caption is not None)
        states = Counter((h.device, e.number) for h in self._waiting for e in h.events)
        begun = set(self._begun)  # The events that the sink will have seen begin.
        kept: deque[WindowResult] = deque()
        dropped = 0
        for result in self._waiting:  # The counters cover the newer windows only.
            windows[result.device] -= result.caption is not None
            states.subtract((result.device, event.number) for event in result.events)
            if dropped < count and events_too:
                result = _needed(result, states, begun)
            superseded = result.caption is None or windows[result.device] > 0
            if dropped < count and superseded and not result.events:
                dropped += 1
            else:
                kept.append(result)
                begun |= {(result.device, event.number) for event in result.events if event.open}
        self._waiting = kept
        return dropped


def _needed(result: WindowResult, newer: Counter[Key], begun: set[Key]) -> WindowResult:
    """Return `result` with its necessary events only.

    An event is dropped if a newer state of it waits, or if it has ended and is not in `begun`.
    """
    events = [
        event
        for event in result.events
        if not newer[result.device, event.number]
        and (event.open or (result.device, event.number) in begun)
    ]
    return replace(result, events=tuple(events))
