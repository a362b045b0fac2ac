"""What `output` and `also` name: files that are written at once, each in its format."""

from __future__ import annotations

import os
from dataclasses import dataclass

from edge.errors import ConfigError

FORMATS = ("text", "jsonl", "events", "srt", "vtt")
SUBTITLES = ("srt", "vtt")


@dataclass(frozen=True)
class Target:
    """One of the files that are written, or standard output."""

    setting: str  # for messages: "also: 'srt:party.srt'"
    format: str
    path: str | None  # standard output if none


def targets_of(form: str, output: str | None, also: list[str]) -> list[Target]:
    """What is written: `output` as `form`, then each of `also`, as "srt:party.srt".

    Raises: ConfigError if one is not right, or two are the same file.
    """
    first = Target(f"format: {form!r}", form, None if output is None else _path(output))
    targets = [first, *(_target(text) for text in also)]
    seen: set[str] = set()
    for target in targets:
        if target.format not in FORMATS:
            raise ConfigError(f"{target.setting} is not one of {', '.join(FORMATS)}")
        if target.path is None:
            continue
        real = os.path.realpath(target.path)
        if real in seen:
            raise ConfigError(f"also: {target.path} is written already; choose another file")
        seen.add(real)
    return targets


def _target(text: str) -> Target:
    form, colon, path = text.partition(":")
    if not colon or not path:
        raise ConfigError(f"also: {text!r} is not FORMAT:FILE, as 'srt:party.srt'")
    return Target(f"also: {form!r}", form, _path(path))


def _path(text: str) -> str:
    # A shell leaves the ~ of events:~/heard.jsonl as it is, and nothing reads that of a file.
    return os.path.expanduser(text)
