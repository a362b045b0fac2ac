"""What the program says about itself: one line each on standard error, through `logging`."""

from __future__ import annotations

import logging
import os
import sys

from edge.urls import without_secrets

# What systemd's journal takes for a line's level: the numbers of syslog.
PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}


def log_to_stderr() -> None:
    """Lines of the package's loggers go to standard error, from level info on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_ForJournal() if _is_journal() else _Line(LINE))
    root = logging.getLogger("edge")
    root.handlers[:] = [handler]
    root.propagate = False
    set_level("info")


def set_level(level: str) -> None:
    """Say what is of `level` ("debug" to "error") and above; errors are always said."""
    logging.getLogger("edge").setLevel(level.upper())


LINE = "aac-stream: %(message)s"


class _Line(logging.Formatter):
    """Removes secrets from whatever is logged: libraries and tracebacks quote URLs too."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class _ForJournal(_Line):
    """`<4>` before a line, as sd-daemon(3) describes."""

    def __init__(self) -> None:
        super().__init__(LINE)

    def format(self, record: logging.LogRecord) -> str:
        return f"<{PRIORITIES[record.levelname]}>{super().format(record)}"


def _is_journal() -> bool:
    """Whether standard error is the journal, and no file or pipe that took its place."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):  # there is none, or it is no file
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
