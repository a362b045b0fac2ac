"""The test set-up itself: tells a broken virtual microphone from a broken captioner."""

from __future__ import annotations

import json
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np

from tests.pulse import PulseServer

RATE = 44_100
TONE_HZ = 997.0
SECONDS = 3.0

# Runs in a child process, since PortAudio reads the environment once only.
RECORD = """
import json, sys
import numpy as np
import sounddevice as sd

rate, seconds, out = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
devices = [d["name"] for d in sd.query_devices() if d["max_input_channels"] > 0]
print(json.dumps(devices), flush=True)
sound = sd.rec(int(rate * seconds), samplerate=rate, channels=1, device="default")
sd.wait()
np.save(out, sound[:, 0])
"""


def write_tone(path: Path, seconds: float) -> None:
    """Write a sine of half the full scale as a 16-bit WAV file."""
    time = np.arange(int(RATE * seconds)) / RATE
    samples = (0.5 * 32_767 * np.sin(2 * np.pi * TONE_HZ * time)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())


def test_the_virtual_microphone_hears_what_is_played(pulse: PulseServer, tmp_path: Path) -> None:
    tone, heard = tmp_path / "tone.wav", tmp_path / "heard.npy"
    # Far longer than the recording: a slow start of the child is then no matter.
    write_tone(tone, seconds=120)
    player = pulse.play(tone)
    try:
        done = subprocess.run(
            [sys.executable, "-c", RECORD, str(RATE), str(SECONDS), str(heard)],
            env=pulse.env,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
    finally:
        player.terminate()
        player.wait()
    assert done.returncode == 0, f"{done.stderr}\n{pulse.log()}"
    assert {"default", "pulse"} & set(json.loads(done.stdout))

    sound = np.load(heard)[-RATE:]  # the last second: past any silence at the start
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    peak_hz = float(np.argmax(spectrum)) * RATE / len(sound)
    level = float(np.sqrt(np.mean(np.square(sound))))
    assert abs(peak_hz - TONE_HZ) <= 2
    # The tone is played at 0.5 / sqrt(2) = 0.35.
    assert 0.2 < level < 0.5
