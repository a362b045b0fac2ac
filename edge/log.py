"""Log to standard error, one line for each message, through `logging`."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import AbstractContextManager

from edge.process.stderr import is_descriptor, refresh_stderr, write_stderr
from edge.urls import without_secrets

# Syslog priorities. The systemd journal reads them at the start of a line, as in `<4>`.
PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
LINE = "aac-stream: %(message)s"


class LogState(AbstractContextManager["LogState"]):
    """A snapshot of the package's logger; a `with` block restores it at its end."""

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
    """Log the messages of the package to standard error, from level info on.

    Returns
    -------
    LogState
        The state before, to restore afterwards: `with log_to_stderr(): ...`.
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
    """Set the minimum level of log messages.

    Parameters
    ----------
    level
        "debug", "info", "warning" or "error". Errors are always logged.
    """
    logging.getLogger("edge").setLevel(level.upper())


class _StderrHandler(logging.Handler):
    """Write to the real standard error, also while native libraries are silenced."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            write_stderr(self.format(record) + "\n")
        except Exception:
            self.handleError(record)


class _Line(logging.Formatter):
    """Format each message as one line.

    Line breaks and control characters of a message are escaped, so that the name of a file or a
    device cannot forge a line or move the cursor. A traceback follows only at level debug.
    """

    def __init__(self, journal: bool) -> None:
        """Prepare the formatter.

        Parameters
        ----------
        journal
            Begin each line with a priority, as in `<4>` (sd-daemon(3)).
        """
        super().__init__(LINE)
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        line = one_line(self.formatMessage(record))
        priority = f"<{PRIORITIES[record.levelname]}>" if self._journal else ""
        if record.exc_info and logging.getLogger("edge").isEnabledFor(logging.DEBUG):
            line += "\n" + self.formatException(record.exc_info)
        line = without_secrets(line)  # Messages of libraries and tracebacks contain URLs too.
        return priority + line.replace("\n", f"\n{priority}")


def one_line(text: str) -> str:
    """Return `text` with its line breaks and other control characters escaped."""
    return "".join(c if c.isprintable() or c == " " else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _is_journal() -> bool:
    """Return True if standard error is the systemd journal, not a file or a pipe in its place."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):  # There is no stream, or it is no file.
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
