"""Track the events that are open now."""

from __future__ import annotations

from edge.streaming.event_tracker import Event
from edge.streaming.results import WindowResult


class ActiveEvents:
    """Keep the open events of each device."""

    def __init__(self) -> None:
        self._open: dict[str, dict[int, Event]] = {}

    def push(self, result: WindowResult) -> list[Event]:
        """Apply `result`, and return the events that it opens, without those that it rewords."""
        open_now = self._open.setdefault(result.device, {})
        new = [event for event in result.events if event.open and event.number not in open_now]
        for event in result.events:
            if event.open:
                open_now[event.number] = event
            else:
                open_now.pop(event.number, None)
        return new

    def of(self, device: str) -> list[Event]:
        """Return the open events of `device`, in the order in which they opened."""
        return list(self._open.get(device, {}).values())
