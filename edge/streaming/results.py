"""The results that each device worker hands to the sinks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from edge.streaming.event_tracker import Event
from edge.streaming.pipeline import Caption


@dataclass(frozen=True)
class WindowResult:
    """The caption of one window of a device, and the events that change with it."""

    device: str  # Label of the device.
    caption: Caption | None  # None if events close without a window, as at the end of the source.
    events: tuple[Event, ...] = ()  # Events that open, are reworded or close.
    began: datetime | None = None  # Wall-clock time of 0 s; None if the audio is not live.
    # For each event number, the wall-clock time of 0 s when that event opened. So all lines of one
    # event show the same time, even if the clock is set meanwhile.
    event_began: Mapping[int, datetime] = field(default_factory=dict)

    def record(self, of: Caption | Event) -> dict[str, Any]:
        """Return `of`, the caption or an event of this result, as a dictionary for JSON."""
        number = of.number if isinstance(of, Event) else None
        return {"device": self.device, "at": self.at(of.start_s, number), **asdict(of)}

    def at(self, seconds: float, number: int | None = None) -> str | None:
        """Return a time of the stream as wall-clock time: ISO 8601, in UTC, in milliseconds.

        Parameters
        ----------
        seconds
            Time in seconds since the first sample.
        number
            The number of the event that the time belongs to; None if it belongs to the window.

        Returns
        -------
        str or None
            None if the audio is not live.
        """
        began = self.began if number is None else self.event_began.get(number, self.began)
        if began is None:
            return None
        when = began + timedelta(seconds=seconds)
        return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Status:
    """The state of a device between two windows."""

    device: str  # Label of the device.
    name: str  # Name of the audio source, as the system gives it.
    state: str  # State of the last window, as in `Caption`.
    level_db: float  # Level of the newest audio in dB re full scale.
    now_s: float  # Time of the newest audio in seconds since the first sample.
    windows: int  # Number of windows with a result.
    skipped_windows: int  # Number of windows skipped to keep up.
    lost_s: float  # Seconds of audio that were lost.
