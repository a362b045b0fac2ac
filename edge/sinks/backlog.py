"""The queue of one sink, and what it gives up when it is full.

A full queue gives up, oldest first:

1. windows that change no event, if a newer window of the same device waits;
2. then states of events that newer states supersede, and whole events that the sink has not seen
   begin and that have ended; and the windows that are left without any.

It never gives up the end of an event that the sink has seen begin, nor the newest state of an event
that goes on. A sink that has worked off its queue therefore knows which events go on, whatever was
dropped before. The few entries that cannot be given up may exceed the limit.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace

from edge.streaming.results import WindowResult

Key = tuple[str, int]  # device and number of an event


class Backlog:
    """Windows that wait for one sink, oldest first. The owner locks it."""

    def __init__(self, limit: int) -> None:
        """Keep at most `limit` windows."""
        self._limit = limit
        self._waiting: deque[WindowResult] = deque()
        self._begun: set[Key] = set()  # Events that the sink has seen begin and not end.

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, heard: WindowResult) -> int:
        """Append `heard`; return how many windows were dropped for it."""
        dropped = self._make_room() if len(self._waiting) >= self._limit else 0
        self._waiting.append(heard)
        return dropped

    def pop(self) -> WindowResult:
        """Take the oldest window, which the sink sees now."""
        heard = self._waiting.popleft()
        for event in heard.events:
            key = heard.device, event.number
            if event.open:
                self._begun.add(key)
            else:
                self._begun.discard(key)
        return heard

    def _make_room(self) -> int:
        """Drop the oldest hundredth, so that not every push looks through the whole queue."""
        count = max(1, self._limit // 100)
        return self._drop(count, events_too=False) or self._drop(count, events_too=True)

    def _drop(self, count: int, events_too: bool) -> int:
        """Drop up to `count` windows that the sink can do without; return how many."""
        windows = Counter(h.device for h in self._waiting if h.caption is not None)
        states = Counter((h.device, e.number) for h in self._waiting for e in h.events)
        begun = set(self._begun)  # As the sink will know it once it has taken what is kept.
        kept: deque[WindowResult] = deque()
        dropped = 0
        for heard in self._waiting:  # The counters count what is newer than this.
            windows[heard.device] -= heard.caption is not None
            states.subtract((heard.device, event.number) for event in heard.events)
            if dropped < count and events_too:
                heard = _needed(heard, states, begun)
            superseded = heard.caption is None or windows[heard.device] > 0
            if dropped < count and superseded and not heard.events:
                dropped += 1
            else:
                kept.append(heard)
                begun |= {(heard.device, event.number) for event in heard.events if event.open}
        self._waiting = kept
        return dropped


def _needed(heard: WindowResult, newer: Counter[Key], begun: set[Key]) -> WindowResult:
    """Return `heard` without the events that have `newer` states or are over and not `begun`."""
    events = [
        event
        for event in heard.events
        if not newer[heard.device, event.number]
        and (event.open or (heard.device, event.number) in begun)
    ]
    return replace(heard, events=tuple(events))
