"""The files that the settings `output` and `also` name, each written in its own format."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.device_setting import devices_of
from edge.errors import ConfigError
from edge.inference.bundle import default_bundle
from edge.paths import expand_user

if TYPE_CHECKING:
    from edge.config import StreamConfig

FORMATS = ("text", "jsonl", "events", "srt", "vtt")
SUBTITLES = ("srt", "vtt")
STANDARD_OUTPUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


@dataclass(frozen=True)
class Target:
    """One output file, or standard output."""

    setting: str  # The setting in messages, such as "also: 'srt'".
    format: str  # One of `FORMATS`.
    path: str | None  # None for standard output.


def targets_of(form: str, output: str | None, also: list[str]) -> list[Target]:
    """Return the outputs that the settings name, the main output first.

    Parameters
    ----------
    form
        Format of the main output, one of `FORMATS`.
    output
        Path of the main output; None or "-" for standard output.
    also
        Further outputs as FORMAT:FILE, such as "srt:party.srt".

    Raises
    ------
    ConfigError
        If an output is not valid, or two outputs are the same file or both standard output.
    """
    first = Target(f"format: {form!r}", form, None if output is None else _path(output))
    targets = [first, *(_target(text) for text in also)]
    seen: set[object] = set()
    for target in targets:
        if target.format not in FORMATS:
            raise ConfigError(f"{target.setting} is not one of {', '.join(FORMATS)}")
        real = None if target.path is None else _identity(target.path)
        if real in seen:
            name = target.path or "standard output"
            raise ConfigError(f"also: {name} is written already; choose another file")
        seen.add(real)
    return targets


def check_outputs(config: StreamConfig, settings: Path | None) -> None:
    """Check that no output is a file that the run reads, and that no two outputs are one file.

    Files are compared by device and inode, so that links count too.

    Parameters
    ----------
    config
        The settings.
    settings
        Path of the configuration file, if there is one.

    Raises
    ------
    ConfigError
        If an output is a file that the run reads, or the file of another output.
    """
    read = list(_read_files(config, settings))
    outputs: list[os.stat_result] = []
    for target in targets_of(config.format, config.output, config.also):
        status = _regular(_standard(sys.stdout) if target.path is None else target.path)
        if status is None:
            continue
        name = target.path or "standard output"
        for description, other in read:
            if os.path.samestat(status, other):
                raise ConfigError(
                    f"{name}: is {description}, and must not be written; choose another file"
                )
        if any(os.path.samestat(status, other) for other in outputs):
            raise ConfigError(f"also: {name} is written already; choose another file")
        outputs.append(status)


def _read_files(
    config: StreamConfig, settings: Path | None
) -> Iterator[tuple[str, os.stat_result]]:
    """Yield a description and the status of each regular file that the run reads."""
    bundle = Path(config.bundle) if config.bundle else default_bundle()
    paths: list[tuple[str, str | int | None]] = [
        ("the file of the settings", str(settings) if settings else None),
        ("the file of the password", config.mqtt_password_file),
    ]
    for device in devices_of(config.device):
        path = re.sub(r"^file:(//)?", "", device.what)
        paths.append(("what is listened to", _standard(sys.stdin) if path == "-" else path))
    with contextlib.suppress(OSError):  # Loading the bundle reports a missing folder.
        paths += [("a part of the model", str(file)) for file in bundle.iterdir()]
    for description, path_or_file in paths:
        status = None if path_or_file is None else _regular(path_or_file)
        if status is not None:
            yield description, status


def _regular(path: str | int) -> os.stat_result | None:
    """Return the status of a path or descriptor, or None if it is not a regular file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _standard(stream: object) -> int:
    """Return the descriptor of `stream`; -1 if it has none, as in a notebook."""
    try:
        return int(stream.fileno())  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return -1


def _identity(path: str) -> object:
    """Return a value that is equal for all names of one file.

    For a path that is not a regular file, or does not exist yet, this is its real path.
    """
    status = _regular(path)
    return os.path.realpath(path) if status is None else (status.st_dev, status.st_ino)


def _target(text: str) -> Target:
    form, colon, path = text.partition(":")
    if not colon or not path:
        raise ConfigError(f"also: {text!r} is not FORMAT:FILE, as 'srt:party.srt'")
    return Target(f"also: {form!r}", form, _path(path))


def _path(text: str) -> str | None:
    """Return the path in `text` with `~` expanded, or None for standard output."""
    if text in STANDARD_OUTPUT:
        return None
    return expand_user("output", text)
