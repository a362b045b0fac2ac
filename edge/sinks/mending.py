"""A file whose last line was cut short, as by a power cut, is made whole before it is used."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import stat

log = logging.getLogger(__name__)

CHUNK = 65_536  # bytes


def mend(path: str, json_lines: bool) -> None:
    """Give the last line of `path` the newline that it lacks.

    Where each line must be JSON and that is not, cut it off, and say so.

    Raises: OSError.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:  # what may be appended to may not be for reading
        return
    with contextlib.closing(os.fdopen(file, "r+b", buffering=0)) as opened:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            return
        last = _last_line(file, status.st_size)
        if last.endswith(b"\n"):
            return
        if not json_lines or _is_json(last):
            os.lseek(file, 0, os.SEEK_END)
            opened.write(b"\n")
            return
        os.ftruncate(file, status.st_size - len(last))
        log.warning("%s: its last line was cut short, and is cut off: %d bytes", path, len(last))


def _last_line(file: int, size: int) -> bytes:
    """The end of the file from the last newline but the very last byte on."""
    last, start = b"", size
    while start > 0 and b"\n" not in last[:-1]:
        begin = max(0, start - CHUNK)
        last = os.pread(file, start - begin, begin) + last
        start = begin
    return last[last[:-1].rfind(b"\n") + 1 :]


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
