"""SIGTERM and its kin, sent to real runs."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.helpers import ROOT
from tests.running import WAIT_S, Running, blocked_in_a_pipe, records, running, until

OFTEN = ("--format", "jsonl", "--window-s", "1", "--hop-s", "0.5")


def check_end(run: Running) -> None:
    assert run.process.returncode == 0, run.err
    assert "windows, real-time factor" in run.err[-1]
    assert "Traceback" not in "\n".join(run.err), "\n".join(run.err)


def test_sigterm_ends_a_run_whose_input_is_idle() -> None:
    reader, writer = os.pipe()
    with running("--device", "-", stdin=reader) as run:
        run.told("listening to standard input")
        run.end()
        check_end(run)
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("how", [(), ("--fast",)])
def test_sigterm_ends_a_run_that_works(tmp_path: Path, long: Path, how: tuple[str, ...]) -> None:
    out = tmp_path / "out.jsonl"
    arguments = ("--device", str(long), *OFTEN, "--output", str(out))
    with running(*arguments, *how) as run:
        until(lambda: out.exists() and out.stat().st_size > 0, "a caption")
        run.end()
        check_end(run)
    assert records(out)


def test_sigterm_ends_a_run_that_nobody_reads(long: Path) -> None:
    """A full pipe blocks the write of a caption; a service manager must not wait for ever."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    command = [sys.executable, "-m", "edge", "--device", str(long), "--fast", "--format", "jsonl"]
    process = subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE, cwd=ROOT)
    os.close(writer)
    try:
        until(lambda: blocked_in_a_pipe(process.pid), "a blocked write")
        process.send_signal(signal.SIGTERM)
        process.wait(WAIT_S)
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.communicate(timeout=WAIT_S)
        os.close(reader)


def test_more_signals_while_it_ends_change_nothing(long: Path) -> None:
    with running("--device", str(long), *OFTEN) as run:
        until(lambda: bool(run.out), "a caption")
        for number in [signal.SIGTERM, signal.SIGINT, signal.SIGHUP] * 20:
            run.process.send_signal(number)
        run.end()
        check_end(run)


def test_a_signal_while_the_model_loads_ends_quietly(long: Path) -> None:
    with running("--device", str(long), "--log-level", "debug") as run:
        run.told("StreamConfig(")
        run.end()
        assert run.process.returncode == 0
        assert "Traceback" not in "\n".join(run.err), "\n".join(run.err)


def test_kill_leaves_whole_lines(tmp_path: Path, long: Path) -> None:
    out = tmp_path / "out.jsonl"
    for _ in range(4):
        seen = len(records(out))
        arguments = ("--device", str(long), "--fast", "--format", "jsonl", "--output", str(out))
        with running(*arguments) as run:
            until(lambda more=seen + 20: len(_lines(out)) > more, "captions")
            run.end(signal.SIGKILL)
        assert len(records(out)) > seen + 20


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_nothing_listens_on_when_its_terminal_is_closed(long: Path, tmp_path: Path) -> None:
    keeper, terminal = pty.openpty()

    def take() -> None:  # in the child: the terminal becomes its own
        os.setsid()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

    out = tmp_path / "out.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", "--device", str(long), *OFTEN, "--output", str(out)],
        stdin=terminal,
        stdout=terminal,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        preexec_fn=take,
    )
    os.close(terminal)
    try:
        until(lambda: bool(_lines(out)), "a caption")
        process.send_signal(signal.SIGHUP)  # with its terminal there, this is a reload
        before = len(_lines(out))
        until(lambda: len(_lines(out)) > before + 1, "captions after a reload")
        os.close(keeper)
        assert process.wait(WAIT_S) == 0
    finally:
        process.kill()
        process.communicate(timeout=WAIT_S)


def ignoring(*names: str) -> tuple[str, ...]:
    """The command of a run that starts with signals ignored, as nohup and scripts start it."""
    shell = f"trap '' {' '.join(names)}; exec \"$@\""
    return "sh", "-c", shell, "sh", sys.executable, "-m", "edge"


def test_a_background_job_ignores_ctrl_c_and_reloads_on_a_hangup(
    long: Path, tmp_path: Path
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("min_confidence: 0.5\n")
    arguments = ("--device", str(long), *OFTEN, "--config", str(config))
    with running(*arguments, python=ignoring("INT", "HUP")) as run:
        until(lambda: bool(run.out), "a caption")
        run.process.send_signal(signal.SIGINT)
        config.write_text("min_confidence: 0.6\n")
        run.hup()
        run.told("settings read again: min_confidence changed")
        seen = len(run.out)
        until(lambda: len(run.out) > seen, "a caption after the signals")
        run.end()
        check_end(run)


def test_a_hangup_ends_nothing_under_nohup(long: Path, tmp_path: Path) -> None:
    keeper, terminal = pty.openpty()

    def take() -> None:  # in the child: the terminal becomes its own
        os.setsid()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

    out = tmp_path / "out.jsonl"
    process = subprocess.Popen(
        [*ignoring("HUP"), "--device", str(long), *OFTEN, "--output", str(out)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        preexec_fn=take,
    )
    os.close(terminal)
    run = Running(process)
    try:
        until(lambda: bool(_lines(out)), "a caption")
        os.close(keeper)  # The kernel sends SIGHUP.
        run.told("settings read again: nothing changed")
        before = len(_lines(out))
        until(lambda: len(_lines(out)) > before + 1, "captions without a terminal")
        run.end()
        check_end(run)
    finally:
        process.kill()
        process.wait(WAIT_S)


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP", "SIGTERM"])
def test_children_of_the_tests_start_with_default_signals(name: str) -> None:
    """However the tests are started: under nohup, in a background job, by pytest-xdist."""
    number = signal.Signals[name]
    code = f"import signal; print(signal.getsignal({int(number)}) is signal.SIG_IGN)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n"
