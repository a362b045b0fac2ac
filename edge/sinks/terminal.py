"""The terminal sink: captions scroll above one live line for each device with its level."""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable

from edge.config import StreamConfig
from edge.device_setting import devices_of
from edge.errors import OutputError
from edge.sinks.formats import Text
from edge.streaming.active_events import ActiveEvents
from edge.streaming.results import Status, WindowResult

REFRESH_S = 0.2  # Seconds between two updates of the live lines.
METER = 12  # Width of the level meter in terminal cells.
LOWEST_DB = -72.0  # Level at the left end of the meter, in dB re full scale.
EIGHTHS = " ▏▎▍▌▋▊▉█"
# All control characters except tab and newline are replaced. A file name may contain them, and no
# text may move the cursor or change colours.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
UP, CLEAR_BELOW, DIM, PLAIN = "\x1b[{}A", "\x1b[J", "\x1b[2m", "\x1b[0m"


def is_live() -> bool:
    """Return True if standard output is a terminal whose cursor can be moved."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class TerminalSink:
    """Writes text to standard output above one live line for each device.

    Parameters
    ----------
    status
        Function that returns the status of each device.
    labelled
        True to write the label of the device in each line.
    """

    name = "the terminal"

    def __init__(self, status: Callable[[], list[Status]], labelled: bool) -> None:
        self._status, self._labelled = status, labelled
        self._text = Text(labelled)
        self._active = ActiveEvents()
        self._live_count = 0  # Number of live lines above the cursor.
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._colours = "NO_COLOR" not in os.environ
        sys.stdout.flush()
        # Write to the descriptor: a hanging write to a buffered file would hold its lock for ever.
        self._descriptor = sys.stdout.fileno()
        self._encoding = sys.stdout.encoding or "ascii"
        self._unicode = "utf" in self._encoding.lower()
        self._log_handler = _LogHandler(self)
        self._log_handler.take_over()
        self._thread = threading.Thread(target=self._refresh, name="live lines", daemon=True)
        self._thread.start()

    def of(self, result: WindowResult) -> str | None:
        """Return the text that `result` adds, or None if it adds nothing."""
        self._active.push(result)
        return self._text.of(result) or None

    def end(self) -> None:
        """Add nothing: every event already has its line."""

    def configure(self, config: StreamConfig) -> None:
        """Write the label of the device in each line if there are several devices."""
        self._labelled = len(devices_of(config.device)) > 1
        self._text.configure(config)

    def put(self, piece: str) -> None:
        """Write `piece`, which consists of whole lines, above the live lines.

        Raises
        ------
        OutputError
            If the terminal cannot be written.
        BrokenPipeError
            If the reader of standard output has gone.
        """
        piece = CONTROL.sub("?", piece)
        with self._lock:
            live = [] if self._closed.is_set() else self._live_lines()
            up = UP.format(self._live_count) if self._live_count else ""
            self._write(up + "\r" + CLEAR_BELOW + piece + "".join(f"{line}\n" for line in live))
            self._live_count = len(live)

    def close(self) -> None:
        """Stop the live lines, draw them a last time and restore the log handlers."""
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
        self._thread.join(1.0)
        try:
            self.put("")
        finally:
            self._log_handler.give_back()

    def _refresh(self) -> None:
        while not self._closed.wait(REFRESH_S):
            try:
                self.put("")
            except BrokenPipeError:
                return
            except Exception:  # The worker reports the error at the next caption.
                continue

    def _live_lines(self) -> list[str]:
        width = shutil.get_terminal_size().columns - 1  # The free column keeps lines from wrapping.
        statuses = self._status()
        indent = max((len(s.device) for s in statuses), default=0) if self._labelled else 0
        return [self._line(status, indent, width) for status in statuses]

    def _line(self, status: Status, indent: int, width: int) -> str:
        prefix = f"{status.device:<{indent}}  " if self._labelled else ""
        separator = " · " if self._unicode else "; "
        # One window alone makes no event, so its "caption" state is shown as "listening".
        state = "quiet" if status.state == "quiet" else "listening"
        text = separator.join(event.text for event in self._active.of(status.device)) or state
        skipped = f"  ({status.skipped_windows} skipped)" if status.skipped_windows else ""
        level = f"{max(status.level_db, LOWEST_DB):4.0f} dB"
        line = f"{prefix}{self._meter(status.level_db)} {level}  {text}{skipped}"
        line = CONTROL.sub("?", re.sub(r"\s", " ", line))[:width]
        return f"{DIM}{line}{PLAIN}" if self._colours else line

    def _meter(self, level_db: float) -> str:
        share = min(1.0, max(0.0, 1.0 - level_db / LOWEST_DB))
        if not self._unicode:
            return f"[{'#' * round(METER * share):<{METER}}]"
        whole, eighths = divmod(round(8 * METER * share), 8)
        part = EIGHTHS[eighths] if eighths else ""
        return f"▕{'█' * whole + part:<{METER}}▏"

    def _write(self, text: str) -> None:
        """Write `text`, with "?" for each character that the terminal's encoding lacks."""
        data = text.encode(self._encoding, "replace")
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"{self.name}: cannot be written ({error.strerror})") from None


class _LogHandler(logging.Handler):
    """Writes log lines above the live lines if standard error is a terminal."""

    def __init__(self, terminal: TerminalSink) -> None:
        super().__init__()
        self._terminal, self._logger = terminal, logging.getLogger("edge")
        self._previous = list(self._logger.handlers)

    def take_over(self) -> None:
        """Replace the handlers of the logger "edge" if standard error is a terminal."""
        if sys.stderr.isatty() and self._previous:
            self.setFormatter(self._previous[0].formatter)
            self._logger.handlers[:] = [self]

    def give_back(self) -> None:
        """Restore the handlers as if this handler had never been installed."""
        handlers = self._logger.handlers
        if handlers == [self]:
            handlers[:] = self._previous
        for other in handlers:
            if isinstance(other, _LogHandler) and other._previous == [self]:
                other._previous = self._previous

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._terminal.put(self.format(record) + "\n")
        except Exception:  # Standard error may still work without the terminal.
            for handler in self._previous:
                handler.handle(record)
