"""Signals: SIGTERM and SIGINT end the run, SIGHUP has the settings read again."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

END_S = 1.5  # that ending may take; a sound system that hangs would take for ever


class Signals:
    """While entered, SIGTERM and SIGINT raise KeyboardInterrupt, once, and SIGHUP sets `reload`.

    What must not be cut in two is done within `held()`.
    """

    def __init__(self) -> None:
        self.reload = False
        self.ending = False
        self._held = False
        self._terminal = _has_terminal()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Signals:
        handlers = {signal.SIGINT: self._end, signal.SIGTERM: self._end, signal.SIGHUP: self._hup}
        for number, handler in handlers.items():
            self._before[number] = signal.getsignal(number)
            # What is ignored from the start stays so: nohup, and jobs of a shell script.
            if self._before[number] is not signal.SIG_IGN:
                signal.signal(number, handler)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            # Where the process ends now, one more signal must not disturb the interpreter's end.
            signal.signal(number, signal.SIG_IGN if self.ending else handler)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """A signal that ends the run does so after the block."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self.ending:
            raise KeyboardInterrupt

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        if self.ending:
            return
        # The kernel's own clock: it needs neither a thread nor an interpreter that still turns.
        signal.setitimer(signal.ITIMER_REAL, END_S)
        self.ending = True
        if not self._held:
            raise KeyboardInterrupt

    def _hup(self, number: int, frame: FrameType | None) -> None:
        # A window that is closed sends this too; nothing may listen on behind a closed window.
        if self._terminal and not _has_terminal():
            self._end(number, frame)
        self.reload = True


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
