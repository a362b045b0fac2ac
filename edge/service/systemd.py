"""Notify systemd of the state of the run, with the protocol of sd_notify(3)."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable

STATUS_S = 10.0  # Seconds from one status line to the next, if there is no watchdog.


class SystemdNotifier:
    """Send notifications to the socket in NOTIFY_SOCKET; without it, send nothing."""

    def __init__(self) -> None:
        # Windows has neither Unix sockets nor systemd.
        self._address = os.environ.get("NOTIFY_SOCKET", "") if hasattr(socket, "AF_UNIX") else ""
        if self._address.startswith("@"):  # An abstract socket, which is no file.
            self._address = "\0" + self._address[1:]
        watchdog_s = _watchdog_s()
        self._watchdog = ["WATCHDOG=1"] if watchdog_s else []
        self._every_s = watchdog_s / 2 if watchdog_s else STATUS_S
        self._sent_at = 0.0

    def ready(self) -> None:
        """Report that the run has started, or has finished a reload."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Report that a reload begins; the caller calls `ready` after it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Report that the run ends."""
        self._send("STOPPING=1", "STATUS=ending")

    def beat(self, status: Callable[[], str]) -> None:
        """Send the watchdog signal and the status line, if they are due.

        The caller calls this as often as it likes while the run is healthy.

        Parameters
        ----------
        status
            Returns the status line; called only if it is sent.
        """
        now = time.monotonic()
        if self._address and now - self._sent_at >= self._every_s:
            self._sent_at = now
            self._send(*self._watchdog, f"STATUS={status()}")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # A service manager that does not listen must neither end the run nor delay it for long.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(1.0)
            sock.sendto("\n".join(lines).encode(), self._address)


def _watchdog_s() -> float:
    """Return the seconds without a signal after which systemd restarts this process; 0 is never."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    is_mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(usec) / 1e6 if usec.isdecimal() and is_mine else 0.0
