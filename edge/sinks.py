"""Where captions go: lines of text or of JSON, on standard output or appended to a file."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from dataclasses import asdict
from typing import BinaryIO

from edge.config import StreamConfig
from edge.errors import OutputError
from edge.loop import Caption


class Sink:
    """Writes captions as they come, each line whole and at once."""

    def __init__(self, config: StreamConfig) -> None:
        self._name = config.output or "standard output"
        self._as_text = config.format == "text"
        self._last = ""
        self._file: BinaryIO | None = None
        if config.output:
            try:
                self._file = open(config.output, "ab", buffering=0)
            except OSError as error:
                raise self._failed(error) from None

    def write(self, caption: Caption) -> None:
        """Write `caption`. As text, only when what is heard has changed.

        Raises: OutputError if it cannot be written, BrokenPipeError if nobody reads any more.
        """
        if self._as_text:
            said = caption.text or caption.state
            if said == (self._last or "quiet"):
                return
            self._last = said
            line = text_line(caption)
        else:
            line = json.dumps(asdict(caption))
        try:
            if self._file is None:
                print(line, flush=True)
            else:
                _write_whole(self._file, line.encode() + b"\n")
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self._name}: cannot be written ({error.strerror}); choose another --output"
        )

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _write_whole(file: BinaryIO, line: bytes) -> None:
    """Append `line`, or, where the disk has no room for all of it, nothing."""
    before = os.fstat(file.fileno()).st_size
    try:
        if file.write(line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        with contextlib.suppress(OSError):  # what cannot be cut off is no file
            os.ftruncate(file.fileno(), before)
        raise


def text_line(caption: Caption) -> str:
    """A caption for reading: times of its window, words, how sure the model is."""
    times = f"{_clock(caption.start_s)} - {_clock(caption.end_s)}"
    if caption.state != "caption":
        return f"{times}  ({caption.state})"
    return f"{times}  {caption.text}  [{caption.confidence:.0%}]"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 1), 60.0)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes:02d}:{rest:04.1f}"
