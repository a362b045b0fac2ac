"""A command of the user's for each event, told in its environment and on its standard input."""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from dataclasses import dataclass

from edge.broker import PASSWORD
from edge.config import StreamConfig
from edge.errors import OutputError
from edge.heard import Heard
from edge.ongoing import Ongoing
from edge.track import Event
from edge.words import words_of

log = logging.getLogger(__name__)

LIMIT_S = 30.0  # that a command may take; and that one may have to wait for others


@dataclass(frozen=True)
class Run:
    """One run of the command."""

    environment: dict[str, str]
    text: str  # for its standard input
    latest: float  # by the monotonic clock, to begin


class Command:
    """Runs a command as events begin, one at a time, in a thread of its own.

    At most once in `command_every_s` for each device. An event that begins sooner is run for when
    that time is over, if it still goes on.
    """

    def __init__(self, config: StreamConfig) -> None:
        """Raises: OutputError if there is no such program."""
        assert config.command is not None
        self._words, self._every_s = words_of(config.command), config.command_every_s
        self.name = f"command {self._words[0]}"
        if shutil.which(self._words[0]) is None:
            raise OutputError(
                f"command: there is no program {self._words[0]!r}; install it, or give its path"
            )
        self._ongoing = Ongoing()
        self._told: dict[str, set[int]] = {}  # events that go on and were run for, by device
        self._last_s: dict[str, float] = {}  # when that was last, by the device's clock
        self._runs: deque[Run] = deque()
        self._news = threading.Condition()
        self._busy, self._closing = False, False
        self._failed = False  # the last run, and this was told
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self._kill)
        threading.Thread(target=self._work, name=self.name, daemon=True).start()

    def of(self, heard: Heard) -> list[Run] | None:
        ongoing = self._ongoing.push(heard)
        told = self._told.setdefault(heard.device, set())
        told &= {event.number for event in ongoing}
        now_s = heard.caption.end_s if heard.caption else 0.0
        runs = []
        for event in ongoing:
            last_s = self._last_s.get(heard.device, -self._every_s)
            if event.number not in told and now_s - last_s >= self._every_s:
                told.add(event.number)
                self._last_s[heard.device] = now_s
                runs.append(self._run_for(heard, event))
        return runs or None

    def _run_for(self, heard: Heard, event: Event) -> Run:
        # What is read from a file as fast as it goes is no alarm: nothing there is too late.
        latest = float("inf") if heard.began is None else time.monotonic() + LIMIT_S
        about = {
            "AAC_DEVICE": heard.device,
            "AAC_TEXT": event.text,
            "AAC_CONFIDENCE": str(event.confidence),
            "AAC_START_S": str(event.start_s),
            "AAC_AT": heard.at(event.start_s) or "",
            "AAC_NUMBER": str(event.number),
        }
        return Run(about, json.dumps(heard.record(event)) + "\n", latest)

    def put(self, piece: list[Run]) -> None:
        with self._news:
            self._runs += piece
            self._news.notify_all()

    def end(self) -> list[Run] | None:
        with self._news:
            self._news.wait_for(lambda: not self._runs and not self._busy)
        return None

    def reopen(self) -> None:
        """Nothing is open."""

    def close(self) -> None:
        with self._news:
            self._closing = True
            self._news.notify_all()
        atexit.unregister(self._kill)

    # --- in its own thread

    def _work(self) -> None:
        while True:
            with self._news:
                self._busy = False
                self._news.notify_all()
                self._news.wait_for(lambda: self._runs or self._closing)
                if not self._runs:
                    return
                run = self._runs.popleft()
                self._busy = True
            if time.monotonic() <= run.latest:
                self._tell(self._run(run))

    def _run(self, run: Run) -> str:
        """Run the command to its end; returns what went wrong, if anything."""
        mine = {name: value for name, value in os.environ.items() if name != PASSWORD}
        try:
            process = self._process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=2,  # what it says must not come between captions
                env={**mine, **run.environment},
                start_new_session=True,  # a group that can be ended, and that no Ctrl-C is for
            )
        except OSError as error:
            return f"cannot be run ({error.strerror})"
        try:
            process.communicate(run.text.encode(), LIMIT_S)
        except subprocess.TimeoutExpired:
            self._kill()
            process.wait()
            return f"was ended after {LIMIT_S:g} s"
        finally:
            self._process = None
        if process.returncode < 0:
            return f"was ended by signal {-process.returncode}"
        return f"ended with exit code {process.returncode}" if process.returncode else ""

    def _tell(self, problem: str) -> None:
        if problem and not self._failed:
            log.warning("%s: %s; it is run again for what follows", self.name, problem)
        elif self._failed and not problem:
            log.warning("%s: works again", self.name)
        self._failed = bool(problem)

    def _kill(self) -> None:
        process = self._process
        if process is not None:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
