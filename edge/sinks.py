"""Where captions go: standard output, or a file that each piece is appended to whole."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import BinaryIO

from edge.config import StreamConfig
from edge.errors import OutputError
from edge.formats import make_format
from edge.loop import Caption


class Sink:
    """Writes captions as they come, in the format that the settings name."""

    def __init__(self, config: StreamConfig) -> None:
        self._name = config.output or "standard output"
        self._output = config.output
        self._format = make_format(config)
        self._file: BinaryIO | None = None
        begun = self._open()
        if begun and self._format.whole_file:
            self._shut()
            raise OutputError(
                f"{self._name}: holds something already, and subtitles count from the start of "
                "a run; choose another --output"
            )
        self._write(self._format.header)

    def reopen(self) -> None:
        """Open the file again, for it may have been moved; what is being followed goes on.

        Raises: OutputError; then the file that was open stays so.
        """
        if not self._open():
            self._write(self._format.header)

    def _open(self) -> bool:
        """Whether the output holds something already."""
        if self._output is None:
            return False
        try:
            file = open(self._output, "ab", buffering=0)
            begun = os.fstat(file.fileno()).st_size > 0
        except OSError as error:
            raise self._failed(error) from None
        self._shut()
        self._file = file
        return begun

    def _shut(self) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, caption: Caption) -> None:
        """Write what `caption` adds.

        Raises: OutputError if it cannot be written, BrokenPipeError if nobody reads any more.
        """
        self._write(self._format.of(caption))

    def _write(self, text: str) -> None:
        if not text:
            return
        try:
            if self._file is None:
                sys.stdout.write(text)
                sys.stdout.flush()
            else:
                _write_whole(self._file, text.encode())
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self._name}: cannot be written ({error.strerror}); choose another --output"
        )

    def close(self) -> None:
        """Write what is still to be said, and close the file.

        Raises: as `write`.
        """
        try:
            self._write(self._format.end())
        finally:
            self._shut()


def _write_whole(file: BinaryIO, piece: bytes) -> None:
    """Append `piece`, or, where the disk has no room for all of it, nothing."""
    before = os.fstat(file.fileno()).st_size
    try:
        if file.write(piece) < len(piece):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        with contextlib.suppress(OSError):  # what cannot be cut off is no file
            os.ftruncate(file.fileno(), before)
        raise
