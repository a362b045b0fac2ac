"""What is handed from the loop of each device to whatever shows, keeps or sends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from edge.streaming.event_tracker import Event
from edge.streaming.pipeline import Caption


@dataclass(frozen=True)
class WindowResult:
    """A window of one device, and what that makes of the events there."""

    device: str  # what captions call it
    caption: Caption | None  # None where events end without one
    events: tuple[Event, ...] = ()  # that it opens, rewords or closes
    began: datetime | None = None  # Wall-clock time of 0 s; None if the audio is not live.
    # The same by the number of an event, as it was when that event opened. So all lines of one
    # event give one time, even if the clock is set meanwhile.
    event_began: Mapping[int, datetime] = field(default_factory=dict)

    def record(self, of: Caption | Event) -> dict[str, Any]:
        """`of`, one of those here, as JSON has it."""
        number = of.number if isinstance(of, Event) else None
        return {"device": self.device, "at": self.at(of.start_s, number), **asdict(of)}

    def at(self, seconds: float, number: int | None = None) -> str | None:
        """Return when `seconds` was, by ISO 8601, in UTC; None if the audio is not live.

        `number` is that of the event that the time belongs to, if it belongs to one.
        """
        began = self.began if number is None else self.event_began.get(number, self.began)
        if began is None:
            return None
        when = began + timedelta(seconds=seconds)
        return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Status:
    """How a device is, between two windows."""

    device: str
    name: str  # of what is listened to, as the system calls it
    state: str  # of the last window
    level_db: float  # of the newest audio, re full scale
    now_s: float  # time of the newest audio
    windows: int
    skipped_windows: int
    lost_s: float
