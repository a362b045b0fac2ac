"""The standard streams of the process, made safe to use whatever the caller did to them."""

from __future__ import annotations

import contextlib
import os
import sys
from io import TextIOWrapper

from edge.errors import OutputError


def open_standard_streams() -> None:
    """Give descriptors 0 to 2, and `sys.stdout` and `sys.stderr`, a file each.

    A shell closes them with `2>&-`. The next file that is opened would then become descriptor 2,
    and messages would be written into it. Standard error is replaced by the null device. Writing to
    a closed standard output raises OSError, so that captions are not lost unnoticed.
    """
    if sys.stdin is None:
        _null(0)
    if sys.stdout is None:
        sys.stdout = open(_null(1), "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = open(_null(2), "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        # The name of a device may hold characters that an ASCII terminal does not have.
        if isinstance(stream, TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


def write_output(text: str) -> None:
    """Write what `print` has buffered, and `text`, to standard output.

    Raises
    ------
    OutputError
        Standard output cannot be written.
    BrokenPipeError
        Nobody reads it any more.
    """
    try:
        if text:  # An empty write fails too, for example on a terminal that has gone.
            sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"standard output: cannot be written ({error.strerror}); send it elsewhere"
        ) from None
    except ValueError:  # It is closed.
        pass


def discard_output() -> None:
    """Drop what standard output has buffered and is given from now on.

    Python flushes it once more as it exits, which would fail again.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with contextlib.suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)
                stream.flush()
        except ValueError:
            pass


def _null(number: int) -> int:
    """Return a descriptor of the null device: `number`, if that is closed.

    Standard output is opened for reading, so that writing to it fails.
    """
    null = os.open(os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY)
    if null == number:
        os.set_inheritable(number, True)
        return number
    try:
        os.fstat(number)
    except OSError:
        os.dup2(null, number)
        os.close(null)
        return number
    return null  # A library has opened a file that took the number.
