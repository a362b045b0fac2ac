"""What is written of captions: lines for reading, JSON of windows or of events, subtitles."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Protocol

from edge.config import StreamConfig
from edge.device_setting import devices_of
from edge.sinks.subtitles import VTT_HEADER, Cue, Cues, srt, vtt
from edge.streaming.active_events import ActiveEvents
from edge.streaming.event_tracker import EventTrackerSpec
from edge.streaming.results import WindowResult


class Format(Protocol):
    """Turns what is heard into text, piece by piece; each piece is whole lines, or empty."""

    header: str  # what a file begins with
    whole_file: bool  # whether a file can hold one run alone

    def of(self, heard: WindowResult) -> str:
        """What `heard` adds."""

    def end(self) -> str:
        """What there is to add as a run ends."""

    def configure(self, config: StreamConfig) -> None:
        """Use settings that have changed, from the next window on."""


class Windows:
    """A line of JSON for each window, whether the track makes an event of it or not."""

    header, whole_file = "", False

    def of(self, heard: WindowResult) -> str:
        return "" if heard.caption is None else json.dumps(heard.record(heard.caption)) + "\n"

    def end(self) -> str:
        return ""

    def configure(self, config: StreamConfig) -> None:
        """A line depends on no setting."""


class Events:
    """A line of JSON each time that an event opens, is reworded or closes."""

    header, whole_file = "", False

    def of(self, heard: WindowResult) -> str:
        return "".join(json.dumps(heard.record(event)) + "\n" for event in heard.events)

    def end(self) -> str:
        return ""

    def configure(self, config: StreamConfig) -> None:
        """A line depends on no setting."""


class Text:
    """For reading: a line as a sound begins, or as it has better words; and as it gets quiet."""

    header, whole_file = "", False

    def __init__(self, labelled: bool) -> None:
        """`labelled`: say which device it was."""
        self._labelled = labelled
        self._ongoing = ActiveEvents()
        self._told: set[str] = set()  # devices of which something was told since it was quiet

    def of(self, heard: WindowResult) -> str:
        self._ongoing.push(heard)
        who = f"{heard.device}: " if self._labelled else ""
        out = ""
        for event in heard.events:
            if event.open:
                out += f"{clock(event.start_s)}  {who}{event.text}  [{event.confidence:.0%}]\n"
                self._told.add(heard.device)
        caption = heard.caption
        is_quiet = caption and caption.state == "quiet" and not self._ongoing.of(heard.device)
        if caption and is_quiet and heard.device in self._told:
            out += f"{clock(caption.start_s)}  {who}(quiet)\n"
            self._told.discard(heard.device)
        return out

    def end(self) -> str:
        return ""  # every event was told as it began

    def configure(self, config: StreamConfig) -> None:
        self._labelled = len(devices_of(config.device)) > 1


class Subtitles:
    """SRT or WebVTT, of one device."""

    whole_file = True  # times count from the start of the run

    def __init__(self, config: StreamConfig, header: str, line: Callable[[int, Cue], str]) -> None:
        self.header, self._line, self._number = header, line, 0
        self._cues = Cues(_lag_s(config))

    def of(self, heard: WindowResult) -> str:
        for event in heard.events:
            self._cues.push(event)
        return "" if heard.caption is None else self._lines(self._cues.ready(heard.caption.end_s))

    def end(self) -> str:
        return self._lines(self._cues.rest())

    def configure(self, config: StreamConfig) -> None:
        self._cues.wait_for(_lag_s(config))

    def _lines(self, cues: Iterable[Cue]) -> str:
        out = ""
        for cue in cues:
            self._number += 1
            out += self._line(self._number, cue)
        return out


def _lag_s(config: StreamConfig) -> float:
    # It may have ended as the last window that named it began, and is closed after this.
    return config.window_s + EventTrackerSpec().missed_s + 2.0 * config.hop_s


def make_format(config: StreamConfig, kind: str) -> Format:
    """The format called `kind`, one of `FORMATS`."""
    if kind == "srt":
        return Subtitles(config, "", srt)
    if kind == "vtt":
        return Subtitles(config, VTT_HEADER, lambda _, cue: vtt(cue))
    if kind == "jsonl":
        return Windows()
    return Events() if kind == "events" else Text(labelled=len(devices_of(config.device)) > 1)


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours once there are some."""
    minutes, rest = divmod(round(seconds, 1), 60.0)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes:02d}:{rest:04.1f}"
