"""Standard error is silenced for native code, and given back whatever the order of threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from edge.stderr import quiet_stderr
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
