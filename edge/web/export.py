"""The history as a file: for reading, as subtitles, as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from edge.sinks.formats import clock
from edge.sinks.subtitles import Cues, srt
from edge.web.history import Record


def text(records: list[Record], labelled: bool) -> str:
    """A line for each event, with the time of day where it was heard live."""
    out = ""
    for record in records:
        event = record.event
        at = record.heard.at(event.start_s, event.number)
        when = clock(event.start_s) if at is None else _local(at)
        out += f"{when}  {_who(record, labelled)}{event.text}  [{event.confidence:.0%}]\n"
    return out


def subtitles(records: list[Record], labelled: bool) -> str:
    """SubRip; what sounds still ends where it was last heard."""
    cues = Cues(lag_s=0.0)
    for record in records:
        words = _who(record, labelled) + record.event.text
        # The key, since devices count their events each for itself.
        cues.push(replace(record.event, number=record.key, text=words, open=False))
    return "".join(srt(number, cue) for number, cue in enumerate(cues.rest(), 1))


def as_json(records: list[Record], labelled: bool) -> str:
    """A list of the records that `/captions` streams."""
    del labelled  # each has its device
    return json.dumps([record.data() for record in records], indent=1) + "\n"


def _who(record: Record, labelled: bool) -> str:
    return f"{record.heard.device}: " if labelled else ""


def _local(at: str) -> str:
    when = datetime.fromisoformat(at.replace("Z", "+00:00")).astimezone()
    return when.strftime("%Y-%m-%d %H:%M:%S")


Writer = Callable[[list[Record], bool], str]

# By the ending of the file: its type, and who writes it.
WRITERS: dict[str, tuple[str, Writer]] = {
    "txt": ("text/plain; charset=utf-8", text),
    "srt": ("application/x-subrip; charset=utf-8", subtitles),
    "json": ("application/json", as_json),
}
