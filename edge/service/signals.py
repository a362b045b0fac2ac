"""Handle signals: SIGTERM and SIGINT end the run, SIGHUP reloads the settings.

If SIGTERM or SIGINT is ignored when the program starts, it stays ignored, because shell scripts
start background jobs this way. SIGHUP reloads the settings even if it was ignored, as in other
daemons, but under nohup it never ends the run. Windows has neither SIGHUP nor interval timers, so
these features are missing there.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any

# Seconds that the end of the run may take, on a busy machine too. After this the kernel ends the
# process, because a sound system that hangs would block it forever.
END_S = 4.0
HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows does not have it.


class Signals:
    """Handle signals within a `with` block, in the main thread.

    The first SIGTERM or SIGINT raises KeyboardInterrupt, and SIGHUP sets `reload`. Code that must
    not be interrupted runs within `held()`.
    """

    def __init__(self) -> None:
        self.reload = False  # Set by SIGHUP; the run resets it.
        self.ending = False  # True after a signal that ends the run.
        self._held = False  # True within `held`.
        # True if a closed terminal ends the run. Under nohup it does not.
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
            # If the process ends now, another signal must not disturb the exit of the interpreter.
            signal.signal(number, signal.SIG_IGN if self.ending else handler)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Delay a signal that ends the run until the end of the block.

        Raises
        ------
        KeyboardInterrupt
            A signal that ends the run has come, at the end of the block.
        """
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
        # A timer of the kernel works even if the interpreter hangs, and needs no thread.
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, END_S)
        self.ending = True
        if not self._held:
            raise KeyboardInterrupt

    def _hup(self, number: int, frame: FrameType | None) -> None:
        # A closed terminal window sends SIGHUP too. The run must not continue to listen then.
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
