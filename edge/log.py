"""Log messages of the program: one line each on standard error, through `logging`."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import AbstractContextManager

from edge.process.stderr import is_descriptor, refresh_stderr, write_stderr
from edge.urls import without_secrets

# Level numbers of syslog, as the journal of systemd reads them at the start of a line.
PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
LINE = "aac-stream: %(message)s"


class LogState(AbstractContextManager["LogState"]):
    """The state of the package's logger at a moment; the end of a block restores it."""

    def __init__(self) -> None:
        logger = logging.getLogger("edge")
        self._handlers, self._propagate = list(logger.handlers), logger.propagate
        self._level = logger.level

    def restore(self) -> None:
        """Restore the state; a second call changes nothing."""
        logger = logging.getLogger("edge")
        logger.handlers[:], logger.propagate = self._handlers, self._propagate
        logger.setLevel(self._level)

    def __exit__(self, *_: object) -> None:
        self.restore()


def log_to_stderr() -> LogState:
    """Send the messages of the package's loggers to standard error, from level info on.

    Returns
    -------
    LogState
        What to restore afterwards: `with log_to_stderr(): ...`.
    """
    before, logger = LogState(), logging.getLogger("edge")
    handler: logging.Handler
    if is_descriptor():
        refresh_stderr()
        handler = _StderrHandler()
    else:  # Something replaced sys.stderr, such as a notebook or a test.
        handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line(journal=_is_journal()))
    logger.handlers[:] = [handler]
    logger.propagate = False
    set_level("info")
    return before


def set_level(level: str) -> None:
    """Log messages of `level` ("debug" to "error") and above; errors are always logged."""
    logging.getLogger("edge").setLevel(level.upper())


class _StderrHandler(logging.Handler):
    """Writes to the descriptor that native libraries are not silenced on."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            write_stderr(self.format(record) + "\n")
        except Exception:
            self.handleError(record)


class _Line(logging.Formatter):
    """One line for each message.

    Line breaks and control characters of a message are escaped: a file name or a device cannot
    forge a line, or move the cursor. A traceback follows only at level debug.
    """

    def __init__(self, journal: bool) -> None:
        """Begin each line with `<4>`, as sd-daemon(3) describes, if it is for the journal."""
        super().__init__(LINE)
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        line = one_line(self.formatMessage(record))
        priority = f"<{PRIORITIES[record.levelname]}>" if self._journal else ""
        if record.exc_info and logging.getLogger("edge").isEnabledFor(logging.DEBUG):
            line += "\n" + self.formatException(record.exc_info)
        line = without_secrets(line)  # Libraries and tracebacks quote URLs too.
        return priority + line.replace("\n", f"\n{priority}")


def one_line(text: str) -> str:
    """Return `text` with its line breaks and other control characters escaped."""
    return "".join(c if c.isprintable() or c == " " else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _is_journal() -> bool:
    """Return True if standard error is the journal, and not a file or pipe that replaced it."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):  # There is none, or it is not a file.
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
