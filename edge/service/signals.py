"""Signals: SIGTERM and SIGINT end the run, SIGHUP has the settings read again.

A signal that ends the run and is ignored when the program starts stays ignored: scripts start
background jobs so. SIGHUP reloads the settings even then, as daemons do, but under nohup it never
ends the run. Windows has neither SIGHUP nor interval timers; what is missing is left out.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any

END_S = 4.0  # Seconds for the end, on a busy machine too; a sound system that hangs takes for ever.
HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows does not have it.


class Signals:
    """While entered, SIGTERM and SIGINT raise KeyboardInterrupt, once, and SIGHUP sets `reload`.

    What must not be cut in two is done within `held()`.
    """

    def __init__(self) -> None:
        self.reload = False
        self.ending = False
        self._held = False
        # Under nohup a closed terminal does not end the run.
        self._terminal = HANGUP is not None and not _is_ignored(HANGUP) and _has_terminal()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Signals:
        for number in (signal.SIGINT, signal.SIGTERM):
            if not _is_ignored(number):
                self._handle(number, self._end)
        if HANGUP is not None:
            self._handle(HANGUP, self._hup)
        return self

    def _handle(self, number: signal.Signals, handler: Callable[..., None]) -> None:
        self._before[number] = signal.getsignal(number)
        signal.signal(number, handler)

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
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, END_S)
        self.ending = True
        if not self._held:
            raise KeyboardInterrupt

    def _hup(self, number: int, frame: FrameType | None) -> None:
        # A window that is closed sends this too; nothing may listen on behind a closed window.
        if self._terminal and not _has_terminal():
            self._end(number, frame)
        self.reload = True


def _is_ignored(number: signal.Signals) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN


def _has_terminal() -> bool:
    """Return True if the process has a controlling terminal; Windows has none."""
    if not hasattr(os, "O_NOCTTY"):
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
