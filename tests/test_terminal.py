"""What is seen on a real terminal: history that scrolls, and under it live lines."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte

from tests.helpers import ROOT, SAMPLE
from tests.running import WAIT_S, until

WIDTH, HEIGHT = 64, 12


class Screen:
    """A program in a terminal, and what that shows."""

    def __init__(self, *arguments: str, **env: str) -> None:
        keeper, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
        self._screen = pyte.Screen(WIDTH, HEIGHT)
        self._stream = pyte.ByteStream(self._screen)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edge", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=terminal,
            env={**os.environ, "TERM": "xterm", "PYTHONUTF8": "1", **env},
            cwd=ROOT,
        )
        os.close(terminal)
        self._thread = threading.Thread(target=self._read, args=(keeper,), daemon=True)
        self._thread.start()

    def _read(self, keeper: int) -> None:
        try:
            while data := os.read(keeper, 4096):
                # The kernel makes "\r\n" of "\n" on its way here.
                self._stream.feed(data)
        except OSError:  # the program has ended
            os.close(keeper)

    @property
    def lines(self) -> list[str]:
        """Those that are not empty; one that is, if all are."""
        return [line.rstrip() for line in self._screen.display if line.strip()] or [""]

    def shows(self, true: Callable[[list[str]], bool]) -> list[str]:
        """The lines on the screen, once `true` of them."""
        seen: list[str] = []

        def is_so() -> bool:
            seen[:] = self.lines
            return true(seen)

        until(is_so, "another screen")
        return seen

    def end(self) -> list[str]:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(WAIT_S)
        self._thread.join(WAIT_S)
        return self.lines


@contextmanager
def screen(*arguments: str, **env: str) -> Iterator[Screen]:
    shown = Screen(*arguments, **env)
    try:
        yield shown
    finally:
        shown.process.kill()
        shown.process.wait(WAIT_S)


def test_history_stands_above_a_live_line_that_goes_away() -> None:
    with screen("--device", str(SAMPLE)) as shown:
        lines = shown.shows(lambda s: s[-1].startswith("▕") and s[-1].endswith(" dB  listening"))
        assert "listening to" in lines[0]
        lines = shown.shows(lambda s: s[-1].endswith("a rooster crows"))
        assert lines[-2].startswith("00:00.0  a rooster crows  [")
        assert "█" in lines[-1]
        assert shown.process.poll() is None
        lines = shown.end()
    assert "real-time factor" in lines[-1]
    assert not [line for line in lines if "▕" in line]
    assert sum("a rooster crows" in line for line in lines) == 1


def test_each_device_has_a_line_and_none_wraps(tmp_path: Path) -> None:
    other = tmp_path / "other.ogg"
    other.symlink_to(SAMPLE)
    devices = ("--device", f"kitchen={SAMPLE}", "--device", f"the place behind the house={other}")
    kitchen = re.compile(r"kitchen                     ▕.*dB  (?!listening|quiet)\w")
    place = re.compile(r"the place behind the house  ▕.*dB  (?!listening|quiet)\w")
    with screen(*devices, "--window-s", "3") as shown:
        shown.shows(lambda s: any(kitchen.match(line) for line in s[-2:]))
        shown.shows(lambda s: any(place.match(line) for line in s[-2:]))
        lines = shown.end()
    assert any(re.match(r"00:\d\d\.\d  kitchen: .*\[\d+%\]", line) for line in lines), lines


def test_a_plain_terminal_gets_plain_lines() -> None:
    with screen("--device", str(SAMPLE), TERM="dumb") as shown:
        shown.shows(lambda s: s[-1].startswith("00:00.0  a rooster crows"))


def test_a_terminal_without_unicode_or_colours() -> None:
    settings = {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "NO_COLOR": "1"}
    with screen("--device", str(SAMPLE), **settings) as shown:
        lines = shown.shows(lambda s: s[-1].endswith("a rooster crows"))
        assert lines[-1].startswith("[#")
