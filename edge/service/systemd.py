"""Tells systemd how the run goes, by the protocol of sd_notify(3)."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable

STATUS_S = 10.0  # from one status line to the next, where there is no watchdog


class SystemdNotifier:
    """Sends nothing, unless a service manager asks for it by NOTIFY_SOCKET."""

    def __init__(self) -> None:
        # Windows has neither such sockets nor systemd.
        self._address = os.environ.get("NOTIFY_SOCKET", "") if hasattr(socket, "AF_UNIX") else ""
        if self._address.startswith("@"):  # abstract: no file
            self._address = "\0" + self._address[1:]
        watchdog_s = _watchdog_s()
        self._life = ["WATCHDOG=1"] if watchdog_s else []
        self._every_s = watchdog_s / 2 if watchdog_s else STATUS_S
        self._beaten = 0.0

    def ready(self) -> None:
        """The run has begun, or has begun to use the settings that were read again."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Settings are read again; `ready` follows."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The run ends."""
        self._send("STOPPING=1", "STATUS=ending")

    def beat(self, status: Callable[[], str]) -> None:
        """To be called where the run shows that it lives, as often as one likes."""
        now = time.monotonic()
        if self._address and now - self._beaten >= self._every_s:
            self._beaten = now
            self._send(*self._life, f"STATUS={status()}")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # A manager that does not listen must not end the run, nor hold it up for long.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.settimeout(1.0)
            to.sendto("\n".join(lines).encode(), self._address)


def _watchdog_s() -> float:
    """Seconds of silence after which the manager starts this process again; 0 is never."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(usec) / 1e6 if usec.isdecimal() and mine else 0.0
