"""The captioner as a part of somebody's program."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edge.errors import AudioError, ConfigError
from edge.heard import Heard
from edge.stream import listen, stream
from tests.helpers import ROOT, SAMPLE, aac_stream
from tests.running import until


def ears() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith(("ear ", "listener"))]


def test_it_says_what_the_command_says() -> None:
    done = aac_stream("--device", str(SAMPLE), "--fast", "--format", "events")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    heard = list(stream(str(SAMPLE), fast=True))
    assert [one.record(event) for one in heard for event in one.events] == told
    assert sum(one.caption is not None for one in heard) == 71
    assert not ears()


def test_a_loop_that_is_left_gives_everything_back() -> None:
    open_files = len(os.listdir("/proc/self/fd"))
    for heard in stream(str(SAMPLE), fast=True):
        assert heard.caption is not None
        assert heard.caption.text == "a rooster crows"
        break
    del heard
    until(lambda: not ears(), "the end of its threads")
    assert len(os.listdir("/proc/self/fd")) == open_files
    with stream(str(SAMPLE)) as live:
        assert ears() == [f"ear {SAMPLE}"]
    assert not ears()
    assert list(live) == []


def test_errors_come_before_anything_is_heard() -> None:
    with pytest.raises(ConfigError, match="hop_s"):
        stream(str(SAMPLE), hop_s=77)
    with pytest.raises(AudioError, match="no such file"):
        stream("none.wav")
    assert not ears()


def test_a_callback_is_called_and_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    called: list[Heard] = []

    def fail_at_first(heard: Heard) -> None:
        called.append(heard)
        if len(called) < 3:
            raise ValueError("of the caller")

    logging.getLogger("edge").propagate = True
    with listen(fail_at_first, str(SAMPLE), fast=True) as listener:
        listener.wait()
    assert sum(heard.caption is not None for heard in called) == 71
    failures = [record for record in caplog.records if "the callback failed" in record.message]
    assert len(failures) == 1
    assert failures[0].exc_info is not None


def test_a_callback_may_end_it() -> None:
    called: list[Heard] = []

    def enough(heard: Heard) -> None:
        called.append(heard)
        if len(called) == 2:
            listener.close()

    listener = listen(enough, str(SAMPLE), window_s=1.0, hop_s=0.2)
    listener.wait()
    assert len(called) == 2
    assert not ears()


def test_the_example_waits_for_a_sound() -> None:
    command = [sys.executable, str(Path("examples") / "wake_me.py"), "--device", str(SAMPLE)]
    done = subprocess.run(
        [*command, "birds"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert ": birds sing (" in done.stdout
