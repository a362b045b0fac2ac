"""Which events go on now."""

from __future__ import annotations

from edge.streaming.event_tracker import Event
from edge.streaming.results import WindowResult


class ActiveEvents:
    """Follows the events of each device."""

    def __init__(self) -> None:
        self._open: dict[str, dict[int, Event]] = {}

    def push(self, heard: WindowResult) -> list[Event]:
        """Take in what was heard; returns the events that begin with it, not those reworded."""
        open_now = self._open.setdefault(heard.device, {})
        new = [event for event in heard.events if event.open and event.number not in open_now]
        for event in heard.events:
            if event.open:
                open_now[event.number] = event
            else:
                open_now.pop(event.number, None)
        return new

    def of(self, device: str) -> list[Event]:
        """The events of `device` that go on, in the order in which they began."""
        return list(self._open.get(device, {}).values())
