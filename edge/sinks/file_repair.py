"""Checks what an output file holds before it is appended to, and repairs a record cut by a crash.

Nothing of a file that holds anything but our own lines is ever changed.
"""

from __future__ import annotations

import json
import logging
import os
import re
import stat

from edge.errors import OutputError

log = logging.getLogger(__name__)

LONGEST_LINE = 65_536  # bytes; a record has some hundred
# Some file systems end a file with zeros after a power cut: bytes whose writing was not finished.
MOST_ZEROS = 1_048_576  # bytes

# Keys that every record of these formats has.
KEYS = {
    "jsonl": {"start_s", "end_s", "text", "confidence", "state"},
    "events": {"start_s", "end_s", "text", "confidence", "number", "open"},
}
# How a record begins (`edge.streaming.results.Heard.record`), as far as no other program's would.
RECORD = re.compile(rb'\{"device": "(?:[^"\\]|\\.)*", "at": ')
RECORD_START = b'{"device": "'
# How a line of the text format begins (`edge.sinks.formats.Text`).
TEXT = re.compile(rb"(?:\d+:)?\d\d:\d\d\.\d  ")
TEXT_START = re.compile(rb"[\d:.]{0,15} {0,2}")


def check_and_repair(path: str, file: int, form: str) -> bool:
    """Return True if the file holds lines of the format `form`, False if it holds nothing.

    Cut off half a record of JSON at the end, and end half a line of text; log what was cut off.
    `file` is a descriptor of `path`, open for appending. What is no regular file holds nothing.

    Raises: OutputError if the file holds anything else; then it is not changed. OSError.
    """
    status = os.fstat(file)
    size = status.st_size
    if not stat.S_ISREG(status.st_mode) or not size:
        return False
    head, tail = _ends(path, file, size)
    written = tail.rstrip(b"\0")
    whole, newline, cut = written.rpartition(b"\n")
    zeros = len(tail) - len(written)
    ours = bool(newline) and _is_line(form, head.partition(b"\n")[0]) and _last_is_line(form, whole)
    if newline and not ours:
        raise _foreign(path, form)
    if not cut and not zeros:
        return True
    if zeros > MOST_ZEROS or len(cut) > LONGEST_LINE or not _is_begun(form, cut, ours):
        raise _foreign(path, form)
    gone = zeros
    if cut and (form == "text" or _is_line(form, cut)):
        if zeros:
            os.ftruncate(file, size - zeros)
        os.write(file, b"\n")
    else:
        gone += len(cut)
        os.ftruncate(file, size - gone)
    if gone:
        log.warning("%s: its last line was cut short, and is cut off: %d bytes", path, gone)
    return os.fstat(file).st_size > 0


def _ends(path: str, file: int, size: int) -> tuple[bytes, bytes]:
    """Return the first bytes of the file and its last ones."""
    # The descriptor of the output is for writing alone: opened for reading too, a named pipe would
    # seem to have a reader.
    try:
        reader = open(path, "rb")
    except PermissionError:
        raise OutputError(
            f"{path}: holds something that cannot be read, so it is not appended to; "
            "allow reading, or choose another file"
        ) from None
    with reader:
        if not os.path.samestat(os.fstat(reader.fileno()), os.fstat(file)):
            raise OutputError(f"{path}: was replaced while it was opened; try again")
        head = reader.read(LONGEST_LINE)
        reader.seek(max(0, size - MOST_ZEROS - 2 * LONGEST_LINE))
        return head, reader.read()


def _last_is_line(form: str, whole: bytes) -> bool:
    return _is_line(form, whole.rpartition(b"\n")[2])


def _is_line(form: str, line: bytes) -> bool:
    """Return True if `line`, without its newline, is one of the format `form`."""
    if form == "text":
        return TEXT.match(line) is not None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(record, dict) and KEYS[form] <= record.keys()


def _is_begun(form: str, cut: bytes, ours: bool) -> bool:
    """Return True if `cut` can only be the beginning of a line that we wrote.

    `ours`: whether lines of ours are before it. Without them a short beginning could be anything.
    """
    if form == "text":
        return TEXT.match(cut) is not None or (ours and TEXT_START.fullmatch(cut) is not None)
    if RECORD.match(cut) or _is_line(form, cut):
        return True
    return ours and (cut.startswith(RECORD_START) or RECORD_START.startswith(cut))


def _foreign(path: str, form: str) -> OutputError:
    return OutputError(
        f"{path}: holds something else than captions in the format {form!r}, and is left as it is; "
        "choose another file"
    )
