"""Make the standard streams safe to use, even if the caller has closed them."""

from __future__ import annotations

import contextlib
import os
import sys
from io import TextIOWrapper

from edge.errors import OutputError


def open_standard_streams() -> None:
    """Replace closed standard streams, so that descriptors 0 to 2 are always open.

    A shell closes standard error with `2>&-`. The next file that is opened would then get
    descriptor 2, and messages would be written into that file. A closed standard error is replaced
    by the null device. Writing to a closed standard output raises OSError, so that captions are not
    lost unnoticed.
    """
    if sys.stdin is None:
        _null(0)
    if sys.stdout is None:
        sys.stdout = open(_null(1), "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = open(_null(2), "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        # The name of a device may contain characters that an ASCII terminal cannot show.
        if isinstance(stream, TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


def write_output(text: str) -> None:
    """Write the buffer of standard output, and then `text`.

    Raises
    ------
    OutputError
        Standard output cannot be written.
    BrokenPipeError
        The reader has closed it.
    """
    try:
        if text:  # An empty write fails too, for example on a closed terminal.
            sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"standard output: cannot be written ({error.strerror}); send it elsewhere"
        ) from None
    except ValueError:  # The stream is closed.
        pass


def discard_output() -> None:
    """Flush standard output and standard error; if that fails, discard all their output.

    Python flushes the streams again when it exits, and a failure would then print a traceback.
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
    """Open the null device, and return its descriptor: `number`, unless that is in use.

    Descriptors other than 2 are opened for reading, so that writing to standard output fails.
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
    return null  # A library has opened a file with this number.
