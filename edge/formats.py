"""What is written of captions: lines for reading, JSON of windows or of events, subtitles."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Protocol

from edge.config import StreamConfig
from edge.loop import Caption
from edge.subtitles import VTT_HEADER, Cue, Cues, srt, vtt
from edge.track import Event, Track, TrackSpec


class Format(Protocol):
    """Turns captions into text, piece by piece; each piece is whole lines, or empty."""

    header: str  # what a file begins with
    whole_file: bool  # whether a file can hold one run alone

    def of(self, caption: Caption) -> str:
        """What `caption` adds."""

    def end(self) -> str:
        """What there is to add as a run ends."""


class Windows:
    """A line of JSON for each window, whether the track makes an event of it or not."""

    header, whole_file = "", False

    def of(self, caption: Caption) -> str:
        return json.dumps(asdict(caption)) + "\n"

    def end(self) -> str:
        return ""


class Events:
    """A line of JSON each time that an event opens, is reworded or closes."""

    header, whole_file = "", False

    def __init__(self, config: StreamConfig) -> None:
        self._track = Track(config.hop_s)

    def of(self, caption: Caption) -> str:
        return self._lines(self._track.push(caption))

    def end(self) -> str:
        return self._lines(self._track.end())

    def _lines(self, events: Iterable[Event]) -> str:
        return "".join(json.dumps(asdict(event)) + "\n" for event in events)


class Text:
    """For reading: a line as a sound begins, or as it has better words; and as it gets quiet."""

    header, whole_file = "", False

    def __init__(self, config: StreamConfig) -> None:
        self._track = Track(config.hop_s)
        self._open: set[int] = set()
        self._quiet = True  # to begin with, that is nothing to tell

    def of(self, caption: Caption) -> str:
        out = ""
        for event in self._track.push(caption):
            if event.open:
                self._open.add(event.number)
                out += f"{clock(event.start_s)}  {event.text}  [{event.confidence:.0%}]\n"
            else:
                self._open.discard(event.number)
        quiet = caption.state == "quiet" and not self._open
        if quiet and not self._quiet:
            out += f"{clock(caption.start_s)}  (quiet)\n"
        self._quiet = quiet or (self._quiet and not out)
        return out

    def end(self) -> str:
        return ""  # every event was told as it began


class Subtitles:
    """SRT or WebVTT."""

    whole_file = True  # times count from the start of the run

    def __init__(self, config: StreamConfig, header: str, line: Callable[[int, Cue], str]) -> None:
        self.header, self._line = header, line
        self._track, self._number = Track(config.hop_s), 0
        # It may have ended as the last window that named it began, and is closed after this.
        lag_s = config.window_s + TrackSpec().missed_s + 2.0 * config.hop_s
        self._cues = Cues(lag_s)

    def of(self, caption: Caption) -> str:
        for event in self._track.push(caption):
            self._cues.push(event)
        return self._lines(self._cues.ready(caption.end_s))

    def end(self) -> str:
        for event in self._track.end():
            self._cues.push(event)
        return self._lines(self._cues.rest())

    def _lines(self, cues: Iterable[Cue]) -> str:
        out = ""
        for cue in cues:
            self._number += 1
            out += self._line(self._number, cue)
        return out


def make_format(config: StreamConfig) -> Format:
    """The format that `config` names."""
    if config.format == "srt":
        return Subtitles(config, "", srt)
    if config.format == "vtt":
        return Subtitles(config, VTT_HEADER, lambda _, cue: vtt(cue))
    if config.format == "jsonl":
        return Windows()
    return Events(config) if config.format == "events" else Text(config)


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours once there are some."""
    minutes, rest = divmod(round(seconds, 1), 60.0)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes:02d}:{rest:04.1f}"
