"""Standard output, or a file that each piece is appended to whole."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import sys
import threading

from edge.config import StreamConfig
from edge.errors import OutputError
from edge.process.portable import O_BINARY, O_CLOEXEC, O_NONBLOCK, set_blocking
from edge.sinks.file_repair import check_and_repair
from edge.sinks.formats import make_format
from edge.streaming.results import WindowResult

NO_FILE = -1  # in place of a descriptor
CLOSED = -2  # In place of a descriptor that was given back: any use of it fails.

_closing = threading.Lock()  # Two threads that close a file must not close the next one too.


class FileSink:
    """Writes captions as they come, in the format called `kind`."""

    def __init__(self, config: StreamConfig, kind: str, path: str | None) -> None:
        """Raises: OutputError if `path` cannot be written, or holds what it must not."""
        self.name, self._path = path or "standard output", path
        self._kind, self._format = kind, make_format(config, kind)
        self._deserted = False  # a named pipe whose reader went away
        # Unbuffered, and so without a lock that a write which hangs would hold to the end.
        self._file = _standard_output() if path is None else NO_FILE
        if path is None:
            self._header = self._format.header
            self._check_standard_output()
            return
        self._file, begun = self._open(path)
        self._header = "" if begun else self._format.header

    def _check_standard_output(self) -> None:
        """Raises: OutputError if standard output is closed; this writes nothing to it."""
        try:
            if self._file != NO_FILE:
                os.write(self._file, b"")
        except OSError as error:
            raise self._failed(error) from None

    def of(self, heard: WindowResult) -> str | None:
        return self._begun(self._format.of(heard))

    def end(self) -> str | None:
        return self._begun(self._format.end())

    def _begun(self, text: str) -> str | None:
        text, self._header = self._header + text, ""
        return text or None

    def configure(self, config: StreamConfig) -> None:
        """Take over what the format depends on."""
        self._format.configure(config)

    def reopen(self) -> None:
        if self._path is None:
            return
        file, begun = self._open(self._path)
        os.close(self._file)
        self._file, self._deserted = file, False
        self._header = "" if begun else self._format.header

    def _open(self, path: str) -> tuple[int, bool]:
        """A descriptor, and whether there is something already."""
        file = NO_FILE
        try:
            # The opening of a named pipe that nobody reads would wait until somebody does.
            how = os.O_WRONLY | os.O_APPEND | os.O_CREAT | O_CLOEXEC | O_NONBLOCK | O_BINARY
            file = os.open(path, how, 0o666)
            set_blocking(file)
            return file, self._check(path, file)
        except BaseException as error:
            if file != NO_FILE:
                os.close(file)
            if isinstance(error, OSError):
                raise self._failed(error) from None
            raise

    def _check(self, path: str, file: int) -> bool:
        """Return True if `file` holds something that may be appended to.

        Raises: OutputError if it must not be appended to, OSError.
        """
        if stat.S_ISBLK(os.fstat(file).st_mode):
            raise OutputError(f"{self.name}: is a disk, not a file; choose another file")
        if not self._format.whole_file:
            return check_and_repair(path, file, self._kind)
        begun = os.fstat(file).st_size > 0
        is_open = self._file != NO_FILE and os.path.samestat(os.fstat(file), os.fstat(self._file))
        if begun and not is_open:
            raise OutputError(
                f"{self.name}: holds something already, and subtitles count from the start of "
                "a run; choose another file"
            )
        return begun

    def put(self, piece: str) -> None:
        if self._deserted:
            self.reopen()
        try:
            if self._file == NO_FILE:
                sys.stdout.write(piece)
                sys.stdout.flush()
            else:
                _write_whole(self._file, piece.encode())
        except BrokenPipeError as error:
            if self._path is None:
                raise
            self._deserted = True
            raise self._failed(error) from None
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> OutputError:
        if error.errno in (errno.ENXIO, errno.EPIPE) and self._is_pipe():
            return OutputError(f"{self.name}: nobody reads this pipe; start what reads it")
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None), errno.EFBIG)
        what = "make room there, or " if full else ""
        to_do = f"{what}choose another file" if self._path else "write to a file, with --output"
        return OutputError(f"{self.name}: cannot be written ({error.strerror}); {to_do}")

    def _is_pipe(self) -> bool:
        try:
            return self._path is not None and stat.S_ISFIFO(os.stat(self._path).st_mode)
        except OSError:
            return False

    def close(self) -> None:
        if self._path is not None:
            with _closing:
                file, self._file = self._file, CLOSED
            if file >= 0:
                os.close(file)


def _standard_output() -> int:
    try:
        sys.stdout.flush()
        return sys.stdout.fileno()
    except io.UnsupportedOperation:  # in a notebook
        return NO_FILE


def _write_whole(file: int, piece: bytes) -> None:
    """Append `piece`, or, where the disk has no room for all of it, nothing."""
    before = os.fstat(file).st_size
    done = 0
    try:
        while done < len(piece):  # a pipe may take a part
            written = os.write(file, piece[done:])
            if not written:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            done += written
    except OSError:
        with contextlib.suppress(OSError):  # what cannot be cut off is no file
            # Another program may have appended to it meanwhile.
            if done and os.fstat(file).st_size == before + done:
                os.ftruncate(file, before)
        raise
