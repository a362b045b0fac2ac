"""Run the four commands: each failure gives one line on standard error and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import errno
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from edge.errors import AacStreamError
from edge.log import one_line
from edge.process.standard_streams import discard_output, open_standard_streams, write_output

# Takes the message, and the exception if its traceback helps a developer.
Report = Callable[[str, BaseException | None], None]

# Error numbers of failed writes. Some of them do not exist on Windows.
FULL = {getattr(errno, name, errno.ENOSPC) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EBADF")}
INTERRUPTED = 130  # Exit code after Ctrl-C, as in shells.


class Parser(argparse.ArgumentParser):
    """A parser that refuses abbreviated options, in subcommands too.

    An abbreviation that works today may be ambiguous, or mean another option, in a later version.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print like argparse, but raise an error if standard output cannot be written."""
        if file is not sys.stdout:
            super()._print_message(message, file)
        elif message:
            write_output(message)


def run_program(body: Callable[[], int], report: Report, more: str = "PYTHONDEVMODE=1") -> int:
    """Run `body`, and report its failure as one line.

    Parameters
    ----------
    body
        The program; it returns the exit code.
    report
        Takes the message of a failure.
    more
        The setting with which `report` shows the traceback of an unexpected error.

    Returns
    -------
    int
        The exit code: that of `body`; 2 after a failure; 130 after Ctrl-C; 0 if the reader of
        standard output has closed it, as in `| head`.
    """
    open_standard_streams()

    def unexpected(error: BaseException) -> None:
        text = f"{type(error).__name__}: {str(error)[:200]}".removesuffix(": ")
        report(f"unexpected error ({text}); please report it, with the output of {more}", error)

    try:
        with _reported_threads(unexpected):
            code = body()
            write_output("")  # Flush here, because a failure while Python exits prints a traceback.
            return code
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        report("interrupted", None)
        return INTERRUPTED
    except AacStreamError as error:
        report(str(error), None)
    except MemoryError as error:
        report("the machine has too little free memory; end other programs", error)
    except OSError as error:
        report(_reason(error), error)
    except Exception as error:
        unexpected(error)
    finally:
        discard_output()
    return 2


def printed(program: str) -> Report:
    """Return a `Report` that prints each message after the name of `program` on standard error."""

    def report(message: str, error: BaseException | None) -> None:
        if error is not None and sys.flags.dev_mode:
            traceback.print_exception(error)
        with contextlib.suppress(OSError):
            print(f"{program}: {one_line(message)}", file=sys.stderr, flush=True)

    return report


def _reason(error: OSError) -> str:
    """Return a sentence about an error of the operating system."""
    why = error.strerror or str(error) or type(error).__name__
    if error.filename is not None:
        return f"{error.filename}: {why}"
    # Python does not name the file if a write fails.
    if error.errno in FULL:
        return f"output cannot be written ({why}); send it elsewhere"
    return f"the operating system reports: {why}"


@contextlib.contextmanager
def _reported_threads(report: Callable[[BaseException], None]) -> Iterator[None]:
    """Report an exception that ends a thread, instead of the traceback that Python would print.

    Python ignores exceptions while it deletes an object; they are printed in development mode only.
    """

    def failed(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None and arguments.exc_type is not SystemExit:
            report(arguments.exc_value)

    def ignored(arguments: Any) -> None:
        if sys.flags.dev_mode:
            sys.__unraisablehook__(arguments)

    before = threading.excepthook, sys.unraisablehook
    threading.excepthook, sys.unraisablehook = failed, ignored
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = before
