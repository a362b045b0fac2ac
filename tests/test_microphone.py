"""A real PortAudio device: the sample is played into it, and captions come out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile

from tests.helpers import ROOT, SAMPLE, aac_stream, names, sample_events, the_one_line
from tests.pulse import PulseServer


def test_the_microphone_is_listed(pulse: PulseServer) -> None:
    done = aac_stream("--list-devices", env=pulse.env)
    assert done.returncode == 0, done
    assert "pulse" in done.stdout
    assert "is the default" in done.stdout
    assert done.stderr == ""


def test_the_sample_is_captioned_from_the_microphone(pulse: PulseServer) -> None:
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
    player = pulse.play(SAMPLE)
    player.wait(timeout=soundfile.info(SAMPLE).duration + 30)
    time.sleep(2.0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    elapsed = time.monotonic() - began
    assert process.returncode == 0, err
    captions = [json.loads(line) for line in out.splitlines()]
    events = sample_events()
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


def test_a_device_that_cannot_be_opened_is_one_line(pulse: PulseServer) -> None:
    """ALSA lists a device whose sound server has gone: what a busy or unplugged one looks like."""
    env = {**pulse.env, "PULSE_SOURCE": "nothing-of-this-name"}
    done = aac_stream("--device", "pulse", env=env, timeout=60)
    assert "cannot be opened" in the_one_line(done)
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
