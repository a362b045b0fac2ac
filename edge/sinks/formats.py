"""The output formats: readable text, JSON lines of windows or of events, and subtitles."""

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
    """Turns results into text. Each returned text is empty or consists of whole lines."""

    header: str  # The text at the start of a file.
    whole_file: bool  # True if a file can hold only one run.

    def of(self, result: WindowResult) -> str:
        """Return the text that `result` adds."""

    def end(self) -> str:
        """Return the last text of a run."""

    def configure(self, config: StreamConfig) -> None:
        """Apply changed settings from the next window on."""


class Windows:
    """Writes one JSON line for each window, whether the window belongs to an event or not."""

    header, whole_file = "", False

    def of(self, result: WindowResult) -> str:
        """Return a line for the caption of `result`, if there is one."""
        return "" if result.caption is None else json.dumps(result.record(result.caption)) + "\n"

    def end(self) -> str:
        """Return "": every window already has its line."""
        return ""

    def configure(self, config: StreamConfig) -> None:
        """Do nothing, because a line depends on no setting."""


class Events:
    """Writes one JSON line each time that an event opens, is reworded or closes."""

    header, whole_file = "", False

    def of(self, result: WindowResult) -> str:
        """Return a line for each event change in `result`."""
        return "".join(json.dumps(result.record(event)) + "\n" for event in result.events)

    def end(self) -> str:
        """Return "": every change already has its line."""
        return ""

    def configure(self, config: StreamConfig) -> None:
        """Do nothing, because a line depends on no setting."""


class Text:
    """Writes a readable line when an event opens, is reworded, or the device becomes quiet.

    Parameters
    ----------
    labelled
        True to write the label of the device in each line.
    """

    header, whole_file = "", False

    def __init__(self, labelled: bool) -> None:
        self._labelled = labelled
        self._active = ActiveEvents()
        # Devices with an event line since their last "(quiet)" line.
        self._pending_quiet: set[str] = set()

    def of(self, result: WindowResult) -> str:
        """Return the lines that `result` adds."""
        self._active.push(result)
        prefix = f"{result.device}: " if self._labelled else ""
        out = ""
        for event in result.events:
            if event.open:
                out += f"{clock(event.start_s)}  {prefix}{event.text}  [{event.confidence:.0%}]\n"
                self._pending_quiet.add(result.device)
        caption = result.caption
        is_quiet = caption and caption.state == "quiet" and not self._active.of(result.device)
        if caption and is_quiet and result.device in self._pending_quiet:
            out += f"{clock(caption.start_s)}  {prefix}(quiet)\n"
            self._pending_quiet.discard(result.device)
        return out

    def end(self) -> str:
        """Return "": every event already has its line."""
        return ""

    def configure(self, config: StreamConfig) -> None:
        """Label the lines if `config` has several devices."""
        self._labelled = len(devices_of(config.device)) > 1


class Subtitles:
    """Writes the SRT or WebVTT subtitles of one device.

    Parameters
    ----------
    config
        The settings, which define the maximum delay of events.
    header
        The text at the start of a file.
    line
        Function that formats a cue, given its number from 1 on.
    """

    whole_file = True  # Times count from the start of the run.

    def __init__(self, config: StreamConfig, header: str, line: Callable[[int, Cue], str]) -> None:
        self.header, self._line, self._number = header, line, 0
        self._cues = Cues(_lag_s(config))

    def of(self, result: WindowResult) -> str:
        """Return the cues that are final after `result`."""
        for event in result.events:
            self._cues.push(event)
        return "" if result.caption is None else self._lines(self._cues.ready(result.caption.end_s))

    def end(self) -> str:
        """Return the remaining cues."""
        return self._lines(self._cues.rest())

    def configure(self, config: StreamConfig) -> None:
        """Apply the maximum delay of events of `config`, if it is longer than before."""
        self._cues.wait_for(_lag_s(config))

    def _lines(self, cues: Iterable[Cue]) -> str:
        out = ""
        for cue in cues:
            self._number += 1
            out += self._line(self._number, cue)
        return out


def _lag_s(config: StreamConfig) -> float:
    """Return the maximum time in seconds from the end of an event until the event closes."""
    # The event may have ended at the start of the last window that contained it.
    return config.window_s + EventTrackerSpec().missed_s + 2.0 * config.hop_s


def make_format(config: StreamConfig, kind: str) -> Format:
    """Return a new format for `kind`, one of `edge.sinks.targets.FORMATS`."""
    if kind == "srt":
        return Subtitles(config, "", srt)
    if kind == "vtt":
        return Subtitles(config, VTT_HEADER, lambda _, cue: vtt(cue))
    if kind == "jsonl":
        return Windows()
    return Events() if kind == "events" else Text(labelled=len(devices_of(config.device)) > 1)


def clock(seconds: float) -> str:
    """Return a time in seconds as MM:SS.S, or H:MM:SS.S from one hour on."""
    minutes, rest = divmod(round(seconds, 1), 60.0)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes:02d}:{rest:04.1f}"
