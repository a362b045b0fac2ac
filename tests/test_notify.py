"""What a service manager is told, heard on a real socket; and lines for its journal."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import ROOT, the_one_line
from tests.running import WAIT_S, blocked_in_a_pipe, running, until

OFTEN = ("--window-s", "1", "--hop-s", "0.3", "--format", "jsonl")


class Manager:
    """Receives what a run tells, as systemd does."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(WAIT_S)
        self.env = {"NOTIFY_SOCKET": address.replace("\0", "@"), "WATCHDOG_USEC": "2000000"}

    def next(self, *wanted: str) -> tuple[float, dict[str, str]]:
        """When the next message came that has a key of `wanted`, and the message."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            lines = self._socket.recv(4096).decode().splitlines()
            message = dict(line.split("=", 1) for line in lines)
            if set(wanted) & set(message):
                return time.monotonic(), message
        raise AssertionError(f"no {wanted}")

    def silent(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(4096)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(WAIT_S)
        return False

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = f"aac-stream-test-{os.getpid()}"
    manager = Manager(f"\0{name}" if request.param == "abstract" else str(tmp_path / "notify"))
    yield manager
    manager.close()


def test_a_run_tells_its_manager_how_it_goes(manager: Manager, long: Path) -> None:
    """Once with a socket that is a file, once with an abstract one."""
    with running("--device", str(long), *OFTEN, env=manager.env) as run:
        _, first = manager.next("READY", "WATCHDOG", "STOPPING")
        assert first == {"READY": "1"}
        run.told("listening to")
        before, beat = manager.next("WATCHDOG")
        said = {beat["STATUS"]}
        for _ in range(4):
            at, beat = manager.next("WATCHDOG")
            assert at - before < 2.0
            before = at
            said.add(beat["STATUS"])
        assert said & {f"caption, {n} windows" for n in range(1, 60)}  # and then it gets quiet
        reload_began = time.monotonic_ns() // 1000
        run.hup()
        _, reloading = manager.next("RELOADING", "STOPPING")
        assert reload_began <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        assert manager.next("READY", "STOPPING")[1] == {"READY": "1"}
        manager.next("WATCHDOG")
        run.end()
        assert manager.next("STOPPING", "READY")[1]["STOPPING"] == "1"
        assert run.process.returncode == 0


def test_the_watchdog_is_fed_while_standard_input_is_idle(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    reader, writer = os.pipe()
    with running("--device", "-", stdin=reader, env=manager.env) as run:
        for _ in range(4):
            manager.next("WATCHDOG")
        run.hup()
        manager.next("RELOADING")
        run.end()
    os.close(reader)
    os.close(writer)
    manager.close()


def test_a_loop_that_hangs_feeds_no_watchdog(tmp_path: Path) -> None:
    """Here it hangs in the write to a pipe that nobody reads."""
    manager = Manager(str(tmp_path / "notify"))
    reader, writer = os.pipe()
    samples = open("/dev/urandom", "rb")
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", "--device", "-", "--fast", *OFTEN, "--quiet-db", "0"],
        stdin=samples,
        stdout=writer,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **manager.env},
        cwd=ROOT,
    )
    try:
        manager.next("WATCHDOG")
        until(lambda: blocked_in_a_pipe(process.pid), "a blocked write")
        while not manager.silent(2.0):
            assert process.poll() is None
    finally:
        process.kill()
        process.wait(WAIT_S)
        os.close(reader)
        os.close(writer)
        samples.close()
        manager.close()


@pytest.mark.parametrize("env", [{}, {"NOTIFY_SOCKET": "/nowhere/notify", "WATCHDOG_USEC": "x"}])
def test_no_manager_or_a_dead_one_is_no_matter(long: Path, env: dict[str, str]) -> None:
    with running("--device", str(long), *OFTEN, env=env) as run:
        until(lambda: len(run.out) > 3, "captions")
        run.end()
        assert run.process.returncode == 0, run.err
        assert all(line.startswith("aac-stream: ") for line in run.err), run.err


def journal(*arguments: str, stream: str | None = None) -> list[str]:
    """Lines of a run whose standard error is a pipe that JOURNAL_STREAM names, or not."""
    reader, writer = os.pipe()
    status = os.fstat(writer)
    named = stream or f"{status.st_dev}:{status.st_ino}"
    subprocess.run(
        [sys.executable, "-m", "edge", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=writer,
        env={**os.environ, "JOURNAL_STREAM": named},
        cwd=ROOT,
        timeout=WAIT_S,
    )
    os.close(writer)
    with open(reader) as file:
        return file.read().splitlines()


def test_lines_for_the_journal_begin_with_their_priority() -> None:
    lines = journal("--device", "-")
    assert lines[0].startswith("<6>aac-stream: listening to standard input")
    assert lines[-1] == "<3>aac-stream: standard input: held no audio"
    elsewhere = journal("--device", "-", stream="1:2")
    assert elsewhere[-1] == "aac-stream: standard input: held no audio"


@pytest.mark.parametrize(
    ("level", "first"),
    [("debug", "StreamConfig("), ("info", "listening to"), ("warning", "held no audio")],
)
def test_the_level_says_what_is_told(level: str, first: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edge", "--device", "-", "--log-level", level],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=WAIT_S,
    )
    assert first in done.stderr.splitlines()[0]
    assert all(line.startswith("aac-stream: ") for line in done.stderr.splitlines())
    assert the_one_line(done) == "aac-stream: standard input: held no audio"


def test_an_error_that_ends_the_run_is_said_at_every_level() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edge", "--device", "none.wav", "--log-level", "error"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=WAIT_S,
    )
    assert done.stderr == "aac-stream: none.wav: no such file\n"
    assert done.returncode == 2
