"""A real `aac-stream` in the background: signals to it, lines from it, and an end in any case."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.helpers import ROOT

WAIT_S = 60.0  # for what should come at once, on a machine that others use


class Running:
    """A process whose output is gathered while it runs."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.out: list[str] = []
        self.err: list[str] = []
        self._threads = [
            threading.Thread(target=self._gather, args=pair, daemon=True)
            for pair in ((process.stdout, self.out), (process.stderr, self.err))
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _gather(pipe: object, lines: list[str]) -> None:
        for line in pipe or []:  # type: ignore[attr-defined]
            lines.append(line.decode().rstrip("\n"))

    def told(self, what: str, times: int = 1) -> str:
        """The line of standard error that holds `what`, once it is there `times` times."""
        until(lambda: len(self._with(what)) >= times, f"{what!r} in {self.err}")
        return self._with(what)[times - 1]

    def _with(self, what: str) -> list[str]:
        return [line for line in list(self.err) if what in line]

    def hup(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send the signal and wait for the end.

        An end that hangs has another return code than 0: the run ends itself by SIGALRM.
        """
        self.process.send_signal(number)
        self.process.wait(WAIT_S)
        for thread in self._threads:
            thread.join(WAIT_S)


@contextlib.contextmanager
def running(
    *arguments: str,
    stdin: int = subprocess.DEVNULL,
    env: dict[str, str] | None = None,
    python: tuple[str, ...] = (sys.executable, "-m", "edge"),
) -> Iterator[Running]:
    """`aac-stream` with `arguments`, from when it listens."""
    process = subprocess.Popen(
        [*python, *arguments],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(env or {})},
        cwd=ROOT,
    )
    try:
        yield Running(process)
    finally:
        process.kill()
        process.wait(WAIT_S)


def until(true: Callable[[], bool], what: str = "") -> None:
    """Wait until `true()`."""
    end = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.02)


def records(path: Path) -> list[dict[str, object]]:
    """The captions in the JSON lines of `path`; every line must be whole."""
    text = path.read_text() if path.exists() else ""
    assert text == "" or text.endswith("\n"), text[-200:]
    return [json.loads(line) for line in text.splitlines()]


def blocked_in_a_pipe(pid: int) -> bool:
    """Whether a thread of `pid` waits for a pipe to take more."""
    threads = Path(f"/proc/{pid}/task").glob("*/wchan")
    return any("pipe_write" in path.read_text() for path in threads)
