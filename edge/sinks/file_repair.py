"""Check of an output file before appending to it, and repair of a record cut off by a crash.

A file that holds anything other than our own lines is never changed.
"""

from __future__ import annotations

import json
import logging
import os
import re
import stat

from edge.errors import OutputError

log = logging.getLogger(__name__)

LONGEST_LINE = 65_536  # Maximum length of a line in bytes; a record has a few hundred bytes.
# Maximum number of zero bytes at the end of a file. After a power cut, some file systems leave
# zeros in place of bytes that were not written.
MOST_ZEROS = 1_048_576

# The keys that every record of a JSON format has.
KEYS = {
    "jsonl": {"start_s", "end_s", "text", "confidence", "state"},
    "events": {"start_s", "end_s", "text", "confidence", "number", "open"},
}
# The beginning of a record (`edge.streaming.results.WindowResult.record`), long enough to tell it
# from the records of other programs.
RECORD = re.compile(rb'\{"device": "(?:[^"\\]|\\.)*", "at": ')
RECORD_START = b'{"device": "'
LABEL = re.compile(rb'\{"device": "(?:[^"\\]|\\.)*"')
AT = re.compile(rb'n?u?l?l?|"[^"]*"?')  # A time or null, perhaps cut off.
AT_KEY = b', "at": '
NEXT_KEY = {"jsonl": b', "start_s": ', "events": b', "number": '}
# The beginning of a line of the text format (`edge.sinks.formats.Text`).
TEXT = re.compile(rb"(?:\d+:)?\d\d:\d\d\.\d  ")
TEXT_START = re.compile(rb"[\d:.]{0,15} {0,2}")


def check_and_repair(path: str, file: int, form: str) -> bool:
    """Check the contents of an output file and repair its last line.

    An incomplete JSON record at the end is removed, and a warning gives the number of bytes. An
    incomplete text line gets a newline.

    Parameters
    ----------
    path
        Path of the file.
    file
        Descriptor of the same file, open for appending.
    form
        Format of the file: "text", "jsonl" or "events".

    Returns
    -------
    bool
        True if the file holds lines of the format `form`, False if it is empty or not a regular
        file.

    Raises
    ------
    OutputError
        If the file holds anything else. It is then not changed.
    OSError
        If the file cannot be read or repaired.
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
        raise _foreign_content(path, form)
    if not cut and not zeros:
        return True
    if zeros > MOST_ZEROS or len(cut) > LONGEST_LINE or not _is_begun(form, cut, ours):
        raise _foreign_content(path, form)
    removed = zeros
    if cut and (form == "text" or _is_line(form, cut)):
        if zeros:
            os.ftruncate(file, size - zeros)
        os.write(file, b"\n")
    else:
        removed += len(cut)
        os.ftruncate(file, size - removed)
    if removed:
        log.warning("%s: its last line was cut short, and is cut off: %d bytes", path, removed)
    return os.fstat(file).st_size > 0


def _ends(path: str, file: int, size: int) -> tuple[bytes, bytes]:
    """Return the first and the last bytes of the file.

    Raises
    ------
    OutputError
        If the file cannot be read, or is not the file of the descriptor any more.
    """
    # The descriptor of the output is write-only, because a named pipe opened for reading too would
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
    """Return True if `line`, without its newline, is a line of the format `form`."""
    if form == "text":
        return TEXT.match(line) is not None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(record, dict) and KEYS[form] <= record.keys()


def _is_begun(form: str, cut: bytes, ours: bool) -> bool:
    """Return True if `cut` is certainly the beginning of a line that we wrote.

    Parameters
    ----------
    form
        Format of the file.
    cut
        The incomplete last line.
    ours
        True if the file has complete lines of ours before it. Only then is a short beginning
        accepted, because it could come from any program.
    """
    if form == "text":
        return TEXT.match(cut) is not None or (ours and TEXT_START.fullmatch(cut) is not None)
    if _is_line(form, cut):
        return True
    return not _is_json(cut) and (ours or RECORD.match(cut) is not None) and _agrees(form, cut)


def _is_json(line: bytes) -> bool:
    """Return True if `line` is whole JSON, so that it is no half-written record."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _agrees(form: str, cut: bytes) -> bool:
    """Return True if a record of the format `form` may go on after `cut`."""
    label = LABEL.match(cut)
    if label is None:
        return _overlap(cut, RECORD_START)
    rest = cut[label.end() :]
    if not _overlap(rest, AT_KEY):
        return False
    at, comma, rest = rest[len(AT_KEY) :].partition(b",")
    return AT.fullmatch(at) is not None and (not comma or _overlap(comma + rest, NEXT_KEY[form]))


def _overlap(one: bytes, other: bytes) -> bool:
    """Return True if one of the two begins with the other."""
    return one.startswith(other) or other.startswith(one)


def _foreign_content(path: str, form: str) -> OutputError:
    return OutputError(
        f"{path}: holds something else than captions in the format {form!r}, and is left as it is; "
        "choose another file"
    )
