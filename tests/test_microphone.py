"""A real PortAudio device: the sample is played into it, and captions come out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.helpers import (
    ROOT,
    SAMPLE,
    aac_stream,
    captions_of,
    names,
    sample_events,
    the_one_line,
    times,
)
from tests.pulse import PulseServer
from tests.running import Running, running, until

JSONL = ("--format", "jsonl")


def test_the_microphone_is_listed(pulse: PulseServer) -> None:
    done = aac_stream("--list-devices", env=pulse.env)
    assert done.returncode == 0, done
    assert "pulse" in done.stdout
    assert "is the default" in done.stdout
    assert done.stderr == ""


def test_the_sample_is_captioned_from_the_microphone(pulse: PulseServer, tmp_path: Path) -> None:
    played_s = 36.0  # five of its ten sounds, two of them at once
    samples, rate = soundfile.read(SAMPLE, stop=int(32_000 * played_s), dtype="float32")
    soundfile.write(tmp_path / "start.wav", samples, rate)
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", "--device", "mic", "--format", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=pulse.env,
        cwd=ROOT,
    )
    assert process.stderr is not None
    assert "listening to" in process.stderr.readline()
    began = time.monotonic()
    player = pulse.play(tmp_path / "start.wav")
    player.wait(timeout=played_s + 30)
    time.sleep(2.0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    elapsed = time.monotonic() - began
    assert process.returncode == 0, err
    captions = [json.loads(line) for line in out.splitlines()]
    events = [event for event in sample_events() if event.end_s < played_s]
    named = set()
    for event in events:
        for caption in captions:
            # The player starts some time after the loop: within 4 s either way.
            near = event.start_s - 4.0 <= caption["end_s"] and caption["start_s"] <= event.end_s + 4
            if near and names(caption["text"], event.label):
                named.add(event.label)
    assert len(named) >= 0.6 * len(events), (named, captions)
    assert captions[-1]["end_s"] == pytest.approx(elapsed, abs=6.0)


@pytest.mark.parametrize(
    ("device", "says"),
    [
        ("999", "device 999: no microphone has this index; --list-devices shows what there is"),
        ("kitchen", "device 'kitchen': no such file, and no microphone has this in its name"),
        ("u", "matches"),
    ],
)
def test_a_wrong_device_is_one_line(pulse: PulseServer, device: str, says: str) -> None:
    done = aac_stream("--device", device, env=pulse.env)
    assert says in the_one_line(done)
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture
def plug(pulse: PulseServer) -> Iterator[PulseServer]:
    """The server, for tests that pull the microphone out; it is in again afterwards."""
    yield pulse
    pulse.hush()
    pulse.load_source()
    pulse.suspend_source(False)


def rooster_between(run: Running, start_s: float, end_s: float) -> bool:
    """Whether what the sample begins with was heard in these seconds of the run."""
    return any(
        start_s <= caption["start_s"] and caption["end_s"] <= end_s and "rooster" in caption["text"]
        for caption in captions_of(run.out)
    )


def lost_s(run: Running) -> float:
    """What the last lines say of lost audio."""
    (line,) = [line for line in run.err if "s of audio lost" in line]
    return float(line.split(" s of audio lost")[0].split()[-1])


@pytest.mark.parametrize("device", ["mic", "pulse"])
def test_a_microphone_that_is_pulled_out_is_waited_for(plug: PulseServer, device: str) -> None:
    with running(*JSONL, "--device", device, env=plug.env) as run:
        run.told("listening to")
        began = time.monotonic()
        plug.play(SAMPLE)
        until(lambda: rooster_between(run, 0.0, 30.0))
        plug.unload_source()
        plug.hush()
        gone = time.monotonic()
        run.told("gives no audio any more; waiting for it")
        time.sleep(6.0)  # some tries fail meanwhile, and say nothing
        plug.load_source()
        plug.play(SAMPLE)
        run.told("is back after")
        back = time.monotonic()
        again_s = gone - began + 5.0
        until(lambda: rooster_between(run, again_s, 300.0))
        run.end(signal.SIGINT)
        assert run.process.returncode == 0
        elapsed = time.monotonic() - began
    assert times("waiting for it", run.err) == 1
    assert times("is back after", run.err) == 1
    assert lost_s(run) == pytest.approx(back - gone, abs=3.0)
    captions = captions_of(run.out)
    # Times keep counting over the gap, and no window reaches into it.
    assert captions[-1]["end_s"] == pytest.approx(elapsed, abs=4.0)
    assert not [c for c in captions if c["end_s"] > gone - began + 4 and c["start_s"] < again_s]


def test_a_device_that_is_there_and_gives_nothing_is_waited_for(plug: PulseServer) -> None:
    with running(*JSONL, "--device", "mic", env=plug.env) as run:
        until(lambda: bool(run.out))
        plug.suspend_source(True)
        run.told("gives no audio any more; waiting for it")
        plug.suspend_source(False)
        heard = len(run.out)
        until(lambda: len(run.out) > heard + 2)
        run.end(signal.SIGINT)
        assert run.process.returncode == 0
    assert times("is back after", run.err) == 1
    assert lost_s(run) > 4.0


def test_a_device_that_cannot_be_opened_is_waited_for(plug: PulseServer) -> None:
    """ALSA lists a device whose sound server has no source: as a busy or unplugged one looks."""
    plug.unload_source()
    with running(*JSONL, "--device", "pulse", env=plug.env) as run:
        run.told("cannot be opened")
        time.sleep(2.0)
        assert not run.out
        plug.load_source()
        run.told("is back after")
        until(lambda: bool(run.out))
        run.end(signal.SIGINT)
        assert run.process.returncode == 0
    assert times("cannot be opened", run.err) == 1
    assert lost_s(run) > 2.0
    assert captions_of(run.out)[0]["start_s"] > 2.0


def test_ctrl_c_ends_the_wait_at_once(plug: PulseServer) -> None:
    env = {**plug.env, "PULSE_SOURCE": "nothing-of-this-name"}
    with running(*JSONL, "--device", "pulse", env=env) as run:
        run.told("waiting for it")
        time.sleep(1.5)
        began = time.monotonic()
        run.end(signal.SIGINT)
        assert run.process.returncode == 0
        assert time.monotonic() - began < 3.0
    assert not times("Traceback", run.err)


def test_one_channel_of_a_microphone(plug: PulseServer, tmp_path: Path) -> None:
    samples, rate = soundfile.read(SAMPLE, stop=32_000 * 8, dtype="float32")
    right = np.stack([np.zeros_like(samples), samples], axis=1)
    soundfile.write(tmp_path / "right.wav", np.tile(right, (4, 1)), rate)
    states = []
    for channel in ("1", "2"):
        with running(*JSONL, "--device", "mic", "--channel", channel, env=plug.env) as run:
            run.told("listening to")
            plug.play(tmp_path / "right.wav")
            until(lambda run=run: len(run.out) >= 4)
            plug.hush()
            run.end(signal.SIGINT)
            assert run.process.returncode == 0
        states.append({caption["state"] for caption in captions_of(run.out)})
    assert states[0] == {"quiet"}
    assert "caption" in states[1]


def test_a_channel_that_a_microphone_lacks_is_one_line(pulse: PulseServer) -> None:
    done = aac_stream("--device", "pulse", "--channel", "64", env=pulse.env)
    assert "(pulse): has 32 channels, so there is no channel 64" in the_one_line(done)
    assert len(done.stderr.splitlines()) == 1


def test_no_microphone_at_all_is_one_line() -> None:
    if "no input devices" not in aac_stream("--list-devices").stdout:
        pytest.skip("this machine has a microphone of its own")
    done = aac_stream("--device", "mic")
    assert "there is no microphone on this machine" in the_one_line(done)
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_portaudio_is_one_line(tmp_path: Path) -> None:
    """Played by a module that fails as sounddevice does: the library itself stays installed."""
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = aac_stream("--device", "mic", env=env)
    line = the_one_line(done)
    assert line.endswith("is not installed; type: sudo apt-get install libportaudio2")
    assert len(done.stderr.splitlines()) == 1
