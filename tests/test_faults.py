"""What goes wrong in a year: each fault is told on one line, and the run goes on."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.helpers import SAMPLE, captions_of, times
from tests.pulse import PulseServer
from tests.running import Running, running, until

OFTEN = ("--format", "jsonl", "--window-s", "1", "--hop-s", "0.5")

# The clock of a machine is not for a test to set: `argv[1]` is a file with what it is ahead.
CLOCK = """
import pathlib, sys, time
real, ahead = time.time, pathlib.Path(sys.argv[1])
time.time = lambda: real() + float(ahead.read_text() or 0)
from edge.cli import main
sys.exit(main(sys.argv[2:]))
"""


def more(run: Running, count: int = 3) -> None:
    """Wait for `count` captions more."""
    before = len(run.out)
    until(lambda: len(run.out) >= before + count, "captions")


def end(run: Running) -> None:
    run.end()
    assert run.process.returncode == 0, run.err
    assert not times("Traceback", run.err)


def test_a_process_that_is_held_up_skips_windows_and_catches_up(long: Path) -> None:
    """The process is stopped for a while, as by a machine that has other things to do."""
    with running("--device", str(long), *OFTEN) as run:
        more(run)
        run.process.send_signal(signal.SIGSTOP)
        time.sleep(4.0)
        run.process.send_signal(signal.SIGCONT)
        run.told("windows are skipped: this program was held up for longer than a window")
        more(run, 4)
        end(run)
    ends = np.array([c["end_s"] for c in captions_of(run.out)], float)
    assert np.diff(ends).max() > 3.0  # once, and after it there is one each hop again
    assert np.diff(ends)[-2:] == pytest.approx([0.5, 0.5], abs=0.02)
    assert times("the model is late", run.err) == 0  # It is not: it was stopped.
    assert times("held up", run.err) == 1
    assert times("windows skipped to keep up", run.err) == 1


@pytest.mark.parametrize("step_s", [3600, -86_400])
def test_a_clock_that_is_set_changes_times_of_day_alone(
    long: Path, tmp_path: Path, step_s: int
) -> None:
    ahead = tmp_path / "ahead"
    ahead.write_text("0")
    python = (sys.executable, "-c", CLOCK, str(ahead))
    with running("--device", str(long), *OFTEN, python=python) as run:
        more(run)
        os.replace(_write(tmp_path / "new", str(step_s)), ahead)
        line = run.told("the clock was set by")
        assert float(line.split("set by ")[1].split(" s")[0]) == pytest.approx(step_s, abs=2)
        more(run)
        end(run)
    captions = captions_of(run.out)
    starts = np.array([c["start_s"] for c in captions], float)
    assert np.diff(starts) == pytest.approx(np.full(len(starts) - 1, 0.5), abs=0.02)
    at = np.array([np.datetime64(c["at"][:-1], "ms") for c in captions]).astype(float) / 1000.0
    steps = np.diff(at - starts)
    assert steps[np.abs(steps).argmax()] == pytest.approx(step_s, abs=1.0)
    assert np.sort(np.abs(steps))[-2] < 1.0
    assert times("the clock was set", run.err) == 1


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.fixture
def restored(pulse: PulseServer) -> Iterator[PulseServer]:
    yield pulse
    pulse.hush()
    pulse.load_source()


def loud(path: Path, gain: float, bad: float | None = None) -> Path:
    """30 s of the sample's beginning, `gain` times as loud; one value a second is `bad`, if any."""
    samples, rate = soundfile.read(SAMPLE, stop=32_000 * 6, dtype="float32")
    samples = np.tile(gain * samples, 5)
    if bad is None:
        samples = np.clip(samples, -1.0, 1.0)
    else:
        samples[::rate] = bad
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return path


def test_a_microphone_that_is_clipped_is_told_once(restored: PulseServer, tmp_path: Path) -> None:
    with running(*OFTEN, "--device", "mic", env=restored.env) as run:
        restored.play(loud(tmp_path / "loud.wav", 30.0))
        assert run.told("is clipped").endswith("turn its level down")
        more(run, 6)
        end(run)
    assert times("is clipped", run.err) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_silence(
    restored: PulseServer, tmp_path: Path, bad: float
) -> None:
    with running("--format", "jsonl", "--device", "mic", env=restored.env) as run:
        restored.play(loud(tmp_path / "bad.wav", 1.0, bad))
        run.told("gives values that are no numbers; they are taken for silence")
        until(lambda: any("rooster" in c["text"] for c in captions_of(list(run.out))))
        end(run)
    assert times("no numbers", run.err) == 1
    assert all(np.isfinite([c["level_db"], c["confidence"]]).all() for c in captions_of(run.out))


def test_a_device_that_is_lost_again_and_again_comes_back_each_time(
    restored: PulseServer,
) -> None:
    with running(*OFTEN, "--device", "mic", env=restored.env) as run:
        for number in range(1, 4):
            more(run)
            restored.unload_source()
            run.told("waiting for it", times=number)
            restored.load_source()
            run.told("is back after", times=number)
        more(run)
        end(run)
    assert times("waiting for it", run.err) == times("is back after", run.err) == 3
    ends = [c["end_s"] for c in captions_of(run.out)]
    assert ends == sorted(set(ends))
