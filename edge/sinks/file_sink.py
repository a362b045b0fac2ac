"""The file sink: appends each piece whole to a file, or writes it to standard output."""

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

NO_FILE = -1  # Stands for a missing descriptor.
CLOSED = -2  # Stands for a closed descriptor; every use of it fails.

# Lets only one of two threads close a descriptor: the other could close a reused number.
_closing = threading.Lock()


class FileSink:
    """Writes results to a file as they arrive.

    Parameters
    ----------
    config
        The settings.
    kind
        Name of the format, one of `edge.sinks.targets.FORMATS`.
    path
        Path of the file; None for standard output.

    Raises
    ------
    OutputError
        If the file cannot be written, or holds something that must not be appended to.
    """

    def __init__(self, config: StreamConfig, kind: str, path: str | None) -> None:
        self.name, self._path = path or "standard output", path
        self._kind, self._format = kind, make_format(config, kind)
        self._reader_gone = False  # True after the reader of a named pipe has gone.
        # Write to the descriptor: a hanging write to a buffered file would hold its lock for ever.
        self._descriptor = _standard_output() if path is None else NO_FILE
        if path is None:
            self._header = self._format.header
            self._check_standard_output()
            return
        self._descriptor, begun = self._open(path)
        self._header = "" if begun else self._format.header

    def _check_standard_output(self) -> None:
        """Check that standard output is open, without writing to it.

        Raises
        ------
        OutputError
            If standard output is closed.
        """
        try:
            if self._descriptor != NO_FILE:
                os.write(self._descriptor, b"")
        except OSError as error:
            raise self._failed(error) from None

    def of(self, result: WindowResult) -> str | None:
        """Return the text that `result` adds, or None if it adds nothing."""
        return self._with_header(self._format.of(result))

    def end(self) -> str | None:
        """Return the last text of the run, or None if there is nothing to add."""
        return self._with_header(self._format.end())

    def _with_header(self, text: str) -> str | None:
        text, self._header = self._header + text, ""
        return text or None

    def configure(self, config: StreamConfig) -> None:
        """Apply the settings that the format depends on."""
        self._format.configure(config)

    def reopen(self) -> None:
        """Open the file at its path again; do nothing for standard output.

        Raises
        ------
        OutputError
            If the file cannot be opened. The previous file then stays open.
        """
        if self._path is None:
            return
        file, begun = self._open(self._path)
        os.close(self._descriptor)
        self._descriptor, self._reader_gone = file, False
        self._header = "" if begun else self._format.header

    def _open(self, path: str) -> tuple[int, bool]:
        """Open `path` for appending.

        Returns
        -------
        tuple of int and bool
            The descriptor, and whether the file has contents already.

        Raises
        ------
        OutputError
            If the file cannot be written or must not be appended to.
        """
        file = NO_FILE
        try:
            # Without O_NONBLOCK, opening a named pipe would wait for a reader.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | O_CLOEXEC | O_NONBLOCK | O_BINARY
            file = os.open(path, flags, 0o666)
            set_blocking(file)
            return file, self._check(path, file)
        except BaseException as error:
            if file != NO_FILE:
                os.close(file)
            if isinstance(error, OSError):
                raise self._failed(error) from None
            raise

    def _check(self, path: str, file: int) -> bool:
        """Return True if `file` has contents and may be appended to, False if it is empty.

        Raises
        ------
        OutputError
            If the file must not be appended to.
        OSError
            If the file cannot be checked.
        """
        if stat.S_ISBLK(os.fstat(file).st_mode):
            raise OutputError(f"{self.name}: is a disk, not a file; choose another file")
        if not self._format.whole_file:
            return check_and_repair(path, file, self._kind)
        begun = os.fstat(file).st_size > 0
        is_open = self._descriptor != NO_FILE and os.path.samestat(
            os.fstat(file), os.fstat(self._descriptor)
        )
        if begun and not is_open:
            raise OutputError(
                f"{self.name}: holds something already, and subtitles count from the start of "
                "a run; choose another file"
            )
        return begun

    def put(self, piece: str) -> None:
        """Write `piece` whole.

        Raises
        ------
        OutputError
            If the file cannot be written now, or a named pipe has no reader.
        BrokenPipeError
            If the reader of standard output has gone.
        """
        if self._reader_gone:
            self.reopen()
        try:
            if self._descriptor == NO_FILE:
                sys.stdout.write(piece)
                sys.stdout.flush()
            else:
                _write_whole(self._descriptor, piece.encode())
        except BrokenPipeError as error:
            if self._path is None:
                raise
            self._reader_gone = True
            raise self._failed(error) from None
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> OutputError:
        if error.errno in (errno.ENXIO, errno.EPIPE) and self._is_pipe():
            return OutputError(f"{self.name}: nobody reads this pipe; start what reads it")
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None), errno.EFBIG)
        hint = "make room there, or " if full else ""
        advice = f"{hint}choose another file" if self._path else "write to a file, with --output"
        return OutputError(f"{self.name}: cannot be written ({error.strerror}); {advice}")

    def _is_pipe(self) -> bool:
        try:
            return self._path is not None and stat.S_ISFIFO(os.stat(self._path).st_mode)
        except OSError:
            return False

    def close(self) -> None:
        """Close the file once; any thread may call this. Standard output stays open."""
        if self._path is not None:
            with _closing:
                file, self._descriptor = self._descriptor, CLOSED
            if file >= 0:
                os.close(file)


def _standard_output() -> int:
    try:
        sys.stdout.flush()
        return sys.stdout.fileno()
    except io.UnsupportedOperation:  # Standard output of a notebook.
        return NO_FILE


def _write_whole(file: int, piece: bytes) -> None:
    """Append the whole `piece`. If that fails, remove the part of it that was written.

    Raises
    ------
    OSError
        If the piece cannot be written.
    """
    before = os.fstat(file).st_size
    done = 0
    try:
        while done < len(piece):  # A pipe may accept only a part.
            written = os.write(file, piece[done:])
            if not written:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            done += written
    except OSError:
        with contextlib.suppress(OSError):  # Pipes and terminals cannot be truncated.
            # Truncate only if no other program has appended to the file meanwhile.
            if done and os.fstat(file).st_size == before + done:
                os.ftruncate(file, before)
        raise
