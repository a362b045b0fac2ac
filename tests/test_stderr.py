"""Standard error is silenced for native code, and given back whatever the order of threads."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading

import pytest

from edge.log import log_to_stderr
from edge.process.stderr import quiet_stderr, real_stderr_fd
from tests.helpers import ROOT


def test_native_output_is_dropped_meanwhile_and_comes_back(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with quiet_stderr():
        os.write(2, b"noise of a library\n")
    os.write(2, b"an error\n")
    assert capfd.readouterr().err == "an error\n"


def test_threads_that_overlap_give_it_back(capfd: pytest.CaptureFixture[str]) -> None:
    """The first to enter leaves first: then the other still needs the silence."""
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with quiet_stderr():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with quiet_stderr():
        thread.start()
        assert entered.wait(10)
    os.write(2, b"still silent\n")
    leave.set()
    thread.join()
    os.write(2, b"an error\n")
    assert capfd.readouterr().err == "an error\n"


def test_loading_clips_in_threads_leaves_standard_error_open() -> None:
    code = """
from pathlib import Path
import sys
from distill.corpus.dataset import Clip, load_all
load_all([Clip(Path("examples/sample.ogg"), "Rain", "event", "", "", "")] * 8, 16000)
print("heard", file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert done.stderr == "heard\n"


def test_messages_of_other_threads_are_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    entered, leave = threading.Event(), threading.Event()

    def open_a_device() -> None:
        with quiet_stderr():
            entered.set()
            leave.wait(60)

    thread = threading.Thread(target=open_a_device)
    with log_to_stderr():
        thread.start()
        assert entered.wait(60)
        logging.getLogger("edge.x").error("the disk is full")
        leave.set()
        thread.join()
    assert capfd.readouterr().err == "aac-stream: the disk is full\n"


def test_a_command_that_starts_meanwhile_keeps_its_output(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with quiet_stderr():
        child = subprocess.Popen(
            ["sh", "-c", "read line; echo out; echo err >&2"],
            stdin=subprocess.PIPE,
            stdout=real_stderr_fd(),
            stderr=real_stderr_fd(),
        )
    child.communicate(b"\n", timeout=60)
    assert capfd.readouterr().err == "out\nerr\n"


def test_no_child_inherits_the_descriptor() -> None:
    assert not os.get_inheritable(real_stderr_fd())


def test_a_message_is_one_line_and_forges_no_other(capfd: pytest.CaptureFixture[str]) -> None:
    with log_to_stderr():
        logging.getLogger("edge.x").error("%s: no such file", "a\n<3>aac-stream: \x1b[2J\udce9")
    line = capfd.readouterr().err
    assert line == "aac-stream: a\\n<3>aac-stream: \\x1b[2J\\udce9: no such file\n"


def test_the_logger_is_as_it_was_afterwards() -> None:
    logger = logging.getLogger("edge")
    before = list(logger.handlers), logger.propagate, logger.level
    with log_to_stderr():
        assert not logger.propagate
    assert (list(logger.handlers), logger.propagate, logger.level) == before
