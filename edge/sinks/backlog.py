"""The queue of one sink, and what it gives up when it is full.

A full queue gives up, oldest first:

1. windows that change no event, if a newer window of the same device waits;
2. then windows whose changes are superseded by newer ones, and events that the sink has not seen
   begin and that have ended.

It never gives up the end of an event that the sink has seen begin, nor the newest state of an event
that goes on. A sink that has worked off its queue therefore knows which events go on, whatever was
dropped before. The few entries that cannot be given up may exceed the limit.
"""

from __future__ import annotations

from collections import deque

from edge.heard import Heard

Key = tuple[str, int]  # device and number of an event


class Backlog:
    """Windows that wait for one sink, oldest first. The owner locks it."""

    def __init__(self, limit: int) -> None:
        """Keep at most `limit` windows."""
        self._limit = limit
        self._waiting: deque[Heard] = deque()
        self._begun: set[Key] = set()  # Events that the sink has seen begin and not end.

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, heard: Heard) -> int:
        """Append `heard`; return how many windows were dropped for it."""
        dropped = self._make_room() if len(self._waiting) >= self._limit else 0
        self._waiting.append(heard)
        return dropped

    def pop(self) -> Heard:
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
        without_events: list[int] = []  # Indices of what can be given up, newest first.
        superseded: list[int] = []
        newer_windows: set[str] = set()
        newer_events: set[Key] = set()
        for index, heard in zip(
            reversed(range(len(self._waiting))), reversed(self._waiting), strict=True
        ):
            needed = heard.caption is not None and heard.device not in newer_windows
            for event in heard.events:
                key = heard.device, event.number
                needed |= key not in newer_events and (event.open or key in self._begun)
                newer_events.add(key)
            if heard.caption is not None:
                newer_windows.add(heard.device)
            if not needed:
                (superseded if heard.events else without_events).append(index)
        count = max(1, self._limit // 100)
        dropped = set((without_events or superseded)[-count:])
        self._waiting = deque(h for i, h in enumerate(self._waiting) if i not in dropped)
        return len(dropped)
