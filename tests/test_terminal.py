"""What is seen on a real terminal: history that scrolls, and under it live lines."""

from __future__ import annotations

import fcntl
import logging
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
import pytest
import soundfile

from edge.config import StreamConfig
from edge.sinks.terminal import TerminalSink
from edge.streaming.event_tracker import Event
from edge.streaming.results import Status, WindowResult
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


def test_letters_that_a_terminal_lacks_do_not_end_the_run(tmp_path: Path) -> None:
    clip = tmp_path / "clip.wav"
    samples, rate = soundfile.read(SAMPLE, stop=32_000 * 15, dtype="float32")
    soundfile.write(clip, samples, rate)
    devices = ("--device", f"küche={clip}", "--device", f"b={SAMPLE}")
    with screen("--fast", *devices, PYTHONIOENCODING="ascii") as shown:
        assert shown.process.wait(WAIT_S) == 0
        lines = shown.shows(lambda s: "real-time factor" in s[-1])
    assert any(re.match(r"\d\d:\d\d\.\d  (b|k\?che): a ", line) for line in lines), lines


class OnScreen:
    """The terminal as a sink in this process, on the screen of a pseudo-terminal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keeper, terminal = pty.openpty()
        self._screen = pyte.Screen(WIDTH, HEIGHT)
        self._stream = pyte.ByteStream(self._screen)
        self._stdout = os.fdopen(terminal, "w", encoding="utf-8")
        monkeypatch.setattr(sys, "stdout", self._stdout)
        monkeypatch.setattr("edge.sinks.terminal.REFRESH_S", 1000.0)
        self.status = [Status("hall", "hall.wav", "quiet", -50.0, 1.0, 1, 0, 0.0)]
        self.sink = TerminalSink(lambda: self.status, labelled=False)

    def lines(self, count: int) -> list[str]:
        """So many lines, once they are there, the last a live one."""
        while True:
            lines = [line.rstrip() for line in self._screen.display if line.strip()]
            if len(lines) == count and "▕" in lines[-1]:
                return lines
            self._stream.feed(os.read(self.keeper, 65536))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[OnScreen]:
    one = OnScreen(monkeypatch)
    yield one
    one.sink.close()
    one.sink.close()
    os.close(one.keeper)


def told(number: int, device: str = "hall") -> WindowResult:
    return WindowResult(device, None, (Event(number, 1.0, 2.0, "rain falls", 0.5, True),))


def test_a_terminal_goes_on_with_other_devices_after_a_reload(shown: OnScreen) -> None:
    shown.sink.put(shown.sink.of(told(1)) or "")
    first = shown.lines(2)
    assert first == ["00:01.0  rain falls  [50%]", first[1]]
    assert first[1].startswith("▕")
    shown.sink.configure(StreamConfig(device=["hall=a.wav", "kitchen=b.wav"]))
    shown.status.append(Status("kitchen", "b.wav", "quiet", -50.0, 1.0, 1, 0, 0.0))
    shown.sink.put(shown.sink.of(told(2, "kitchen")) or "")
    lines = shown.lines(4)
    assert lines[:2] == [first[0], "00:01.0  kitchen: rain falls  [50%]"]
    assert [line.split("▕")[0] for line in lines[2:]] == ["hall     ", "kitchen  "]


def test_a_name_cannot_move_the_cursor(shown: OnScreen) -> None:
    name = "a\x1b[2J\x07\rb\nc"
    shown.status[0] = Status(name, name, "quiet", -50.0, 1.0, 1, 0, 0.0)
    shown.sink.configure(StreamConfig(device=["hall=a.wav", "kitchen=b.wav"]))
    shown.sink.put("above\n")
    shown.sink.put(f"{name}\n")
    lines = shown.lines(4)
    assert lines[:3] == ["above", "a?[2J??b", "c"]
    assert lines[3].startswith("a?[2J? b c  ▕")


def test_logs_go_where_they_went_whichever_terminal_closes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logger, handler = logging.getLogger("edge"), logging.StreamHandler(sys.stderr)
    monkeypatch.setattr(logger, "handlers", [handler])
    keeper, terminal = pty.openpty()
    monkeypatch.setattr(sys, "stderr", os.fdopen(terminal, "w"))
    one, other = OnScreen(monkeypatch), OnScreen(monkeypatch)
    one.sink.close()
    assert logger.handlers == [other.sink._log_handler]
    logger.error("above the live line")
    assert other.lines(2)[0].endswith("above the live line")
    other.sink.close()
    assert logger.handlers == [handler]
    for end in (keeper, one.keeper, other.keeper):
        os.close(end)


def test_what_a_command_prints_stands_above_the_live_line(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text('command: [sh, -c, "echo the bell rings; echo and again >&2"]\n')
    with screen("--device", str(SAMPLE), "--config", str(config), "--log-level", "error") as shown:
        shown.shows(lambda s: any("and again" in line for line in s))
        lines = shown.shows(lambda s: s[-1].startswith("▕"))
    assert any(line.endswith("the bell rings") for line in lines), lines
