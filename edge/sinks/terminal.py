"""A terminal: what was heard scrolls by; under it, a live line for each device, with its level."""

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

REFRESH_S = 0.2
METER = 12  # cells
LOWEST_DB = -72.0  # where the meter begins
EIGHTHS = " ▏▎▍▌▋▊▉█"
# Control characters but tabs and line ends: a file's name may hold some, and no text may move the
# cursor or change colours.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
UP, CLEAR_BELOW, DIM, PLAIN = "\x1b[{}A", "\x1b[J", "\x1b[2m", "\x1b[0m"


def is_live() -> bool:
    """Whether standard output is a terminal whose cursor can be moved."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class TerminalSink:
    """Text on standard output, above one live line for each device."""

    name = "the terminal"

    def __init__(self, status: Callable[[], list[Status]], labelled: bool) -> None:
        """`labelled`: say which device it was."""
        self._status, self._labelled = status, labelled
        self._text = Text(labelled)
        self._ongoing = ActiveEvents()
        self._lines = 0  # live ones, above the cursor
        self._writing = threading.Lock()
        self._closed = threading.Event()
        self._colours = "NO_COLOR" not in os.environ
        sys.stdout.flush()
        # Unbuffered, and so without a lock that a write which hangs would hold to the end.
        self._file = sys.stdout.fileno()
        self._encoding = sys.stdout.encoding or "ascii"
        self._unicode = "utf" in self._encoding.lower()
        self._logs = _Above(self)
        self._logs.take_over()
        self._thread = threading.Thread(target=self._refresh, name="live lines", daemon=True)
        self._thread.start()

    def of(self, heard: WindowResult) -> str | None:
        self._ongoing.push(heard)
        return self._text.of(heard) or None

    def end(self) -> None:
        return None

    def configure(self, config: StreamConfig) -> None:
        """Say which device it was if there are several now."""
        self._labelled = len(devices_of(config.device)) > 1
        self._text.configure(config)

    def put(self, piece: str) -> None:
        """`piece`, whole lines, above the live ones."""
        piece = CONTROL.sub("?", piece)
        with self._writing:
            live = [] if self._closed.is_set() else self._live()
            up = UP.format(self._lines) if self._lines else ""
            self._write(up + "\r" + CLEAR_BELOW + piece + "".join(f"{line}\n" for line in live))
            self._lines = len(live)

    def close(self) -> None:
        with self._writing:
            if self._closed.is_set():
                return
            self._closed.set()
        self._thread.join(1.0)
        try:
            self.put("")
        finally:
            self._logs.give_back()

    def _refresh(self) -> None:
        while not self._closed.wait(REFRESH_S):
            try:
                self.put("")
            except BrokenPipeError:
                return
            except Exception:  # The next caption tells, and this goes on.
                continue

    def _live(self) -> list[str]:
        width = shutil.get_terminal_size().columns - 1  # so that none wraps
        statuses = self._status()
        indent = max((len(s.device) for s in statuses), default=0) if self._labelled else 0
        return [self._line(status, indent, width) for status in statuses]

    def _line(self, status: Status, indent: int, width: int) -> str:
        who = f"{status.device:<{indent}}  " if self._labelled else ""
        said = " · " if self._unicode else "; "
        # One window alone makes no event: until others agree, it listens.
        state = "quiet" if status.state == "quiet" else "listening"
        now = said.join(event.text for event in self._ongoing.of(status.device)) or state
        skipped = f"  ({status.skipped_windows} skipped)" if status.skipped_windows else ""
        level = f"{max(status.level_db, LOWEST_DB):4.0f} dB"
        line = f"{who}{self._meter(status.level_db)} {level}  {now}{skipped}"
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
        """Write `text`; letters that the terminal lacks are question marks, each of one cell."""
        data = text.encode(self._encoding, "replace")
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"{self.name}: cannot be written ({error.strerror})") from None


class _Above(logging.Handler):
    """Puts log lines above the live ones, where standard error is the same terminal."""

    def __init__(self, terminal: TerminalSink) -> None:
        super().__init__()
        self._terminal, self._logger = terminal, logging.getLogger("edge")
        self._before = list(self._logger.handlers)

    def take_over(self) -> None:
        if sys.stderr.isatty() and self._before:
            self.setFormatter(self._before[0].formatter)
            self._logger.handlers[:] = [self]

    def give_back(self) -> None:
        """Leave the handlers as they would be if this had never been one."""
        handlers = self._logger.handlers
        if handlers == [self]:
            handlers[:] = self._before
        for other in handlers:
            if isinstance(other, _Above) and other._before == [self]:
                other._before = self._before

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._terminal.put(self.format(record) + "\n")
        except Exception:  # The terminal is gone; standard error may not be.
            for handler in self._before:
                handler.handle(record)
