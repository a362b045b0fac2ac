"""Export of the history as a file: readable text, subtitles or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from edge.sinks.formats import clock
from edge.sinks.subtitles import Cues, srt
from edge.web.history import Record


def text(records: list[Record], labelled: bool) -> str:
    """Return one line for each event, with the local date and time if the audio was live."""
    out = ""
    for record in records:
        event = record.event
        at = record.result.at(event.start_s, event.number)
        when = clock(event.start_s) if at is None else _local(at)
        out += f"{when}  {_prefix(record, labelled)}{event.text}  [{event.confidence:.0%}]\n"
    return out


def subtitles(records: list[Record], labelled: bool) -> str:
    """Return SubRip subtitles; an open event ends at its last known end."""
    cues = Cues(lag_s=0.0)
    for record in records:
        words = _prefix(record, labelled) + record.event.text
        # Use the key as number, because event numbers are unique only within a device.
        cues.push(replace(record.event, number=record.key, text=words, open=False))
    return "".join(srt(number, cue) for number, cue in enumerate(cues.rest(), 1))


def as_json(records: list[Record], labelled: bool) -> str:
    """Return a JSON list of the records, in the form that `/captions` streams."""
    del labelled  # Each record contains its device.
    return json.dumps([record.data() for record in records], indent=1) + "\n"


def _prefix(record: Record, labelled: bool) -> str:
    return f"{record.result.device}: " if labelled else ""


def _local(at: str) -> str:
    when = datetime.fromisoformat(at.replace("Z", "+00:00")).astimezone()
    return when.strftime("%Y-%m-%d %H:%M:%S")


Writer = Callable[[list[Record], bool], str]

# Media type and writer by file extension.
WRITERS: dict[str, tuple[str, Writer]] = {
    "txt": ("text/plain; charset=utf-8", text),
    "srt": ("application/x-subrip; charset=utf-8", subtitles),
    "json": ("application/json", as_json),
}
