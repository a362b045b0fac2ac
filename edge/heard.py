"""What is handed from the loop of each device to whatever shows, keeps or sends it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from edge.loop import Caption
from edge.track import Event


@dataclass(frozen=True)
class Heard:
    """A window of one device, and what that makes of the events there."""

    device: str  # what captions call it
    caption: Caption | None  # None where events end without one
    events: tuple[Event, ...] = ()  # that it opens, rewords or closes
    began: datetime | None = (
        None  # of 0 s, by the clock on the wall as it goes now; None if not live
    )

    def record(self, of: Caption | Event) -> dict[str, Any]:
        """`of`, one of those here, as JSON has it."""
        return {"device": self.device, "at": self.at(of.start_s), **asdict(of)}

    def at(self, seconds: float) -> str | None:
        """When `seconds` was, by ISO 8601, in UTC; None if the audio is not live."""
        if self.began is None:
            return None
        when = self.began + timedelta(seconds=seconds)
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
