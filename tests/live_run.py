"""The command line while it runs: what it has said so far, and waiting for more."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import IO, Any

from tests.helpers import ROOT


class Running:
    """`aac-stream --format jsonl` with `arguments`. Use it in a `with`: it ends in any case."""

    def __init__(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edge", "--format", "jsonl", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
            cwd=ROOT,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._threads = [
            threading.Thread(target=_collect, args=(self._process.stdout, self.out), daemon=True),
            threading.Thread(target=_collect, args=(self._process.stderr, self.err), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def says(self, text: str) -> int:
        """How many lines of standard error hold `text`."""
        return sum(text in line for line in self.err)

    def captions(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in list(self.out)]

    def until(self, come: Callable[[], object], timeout: float = 60.0) -> None:
        """Wait until `come` is true; the run must not end before."""
        deadline = time.monotonic() + timeout
        while not come():
            assert self._process.poll() is None, self.err
            assert time.monotonic() < deadline, (self.err, self.out)
            time.sleep(0.05)

    def end(self) -> int:
        """Ctrl-C; its exit code. It must end at once."""
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(timeout=10)
        for thread in self._threads:
            thread.join(timeout=10)
        return code

    def kill(self) -> None:
        """End it as the kernel does where memory is short: it cannot clean up."""
        self._process.kill()
        self._process.wait(timeout=10)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def _collect(stream: IO[str], lines: list[str]) -> None:
    for line in stream:
        lines.append(line.rstrip("\n"))
