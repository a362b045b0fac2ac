"""The frame of the four commands: every failure is one line on standard error and an exit code."""

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

# Takes the line, and the exception if its traceback tells a developer more.
Report = Callable[[str, BaseException | None], None]

# Errors that only a write has. Windows does not have all of them.
FULL = {getattr(errno, name, errno.ENOSPC) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EBADF")}
INTERRUPTED = 130  # the exit code of Ctrl-C, as shells have it


class Parser(argparse.ArgumentParser):
    """A parser that refuses abbreviated options, in subcommands too.

    An abbreviation that works today is ambiguous, or means another option, in a later version.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print as argparse does, but do not hide that standard output cannot be written."""
        if file is not sys.stdout:
            super()._print_message(message, file)
        elif message:
            write_output(message)


def run_program(body: Callable[[], int], report: Report, more: str = "PYTHONDEVMODE=1") -> int:
    """Run `body` and return the exit code: its own, or 2 after a failure that `report` was given.

    A reader of standard output that goes away, as in `| head`, ends the program without an error.
    `more` is the setting with which `report` shows the traceback of an unexpected error.
    """
    open_standard_streams()

    def unexpected(error: BaseException) -> None:
        text = f"{type(error).__name__}: {str(error)[:200]}".removesuffix(": ")
        report(f"unexpected error ({text}); please report it, with the output of {more}", error)

    try:
        with _reported_threads(unexpected):
            code = body()
            write_output("")  # Flush here: as Python exits, a failure is a traceback.
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
    """Return a `Report` that prints its line, with the name of `program`, on standard error."""

    def report(message: str, error: BaseException | None) -> None:
        if error is not None and sys.flags.dev_mode:
            traceback.print_exception(error)
        with contextlib.suppress(OSError):
            print(f"{program}: {one_line(message)}", file=sys.stderr, flush=True)

    return report


def _reason(error: OSError) -> str:
    """Return the sentence for an error of the operating system."""
    why = error.strerror or str(error) or type(error).__name__
    if error.filename is not None:
        return f"{error.filename}: {why}"
    # Python does not name the file of a write that fails.
    if error.errno in FULL:
        return f"output cannot be written ({why}); send it elsewhere"
    return f"the operating system reports: {why}"


@contextlib.contextmanager
def _reported_threads(report: Callable[[BaseException], None]) -> Iterator[None]:
    """Report an exception that ends a thread, where Python would print a traceback.

    Python ignores an exception while it deletes an object; it is printed in development mode alone.
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
