"""Noise of a given colour, which is a label and a room's tone, and silence cut from recordings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.features import Floats

RATE = 32_000  # Hz; the teacher's rate, halved for the student

# Noises are synthesised as well: exponent of their power spectrum, 1 / f^exponent.
NOISES = {"White noise": 0.0, "Pink noise": 1.0, "Brown noise": 2.0}


def shaped_noise(rng: np.random.Generator, samples: int, exponent: float) -> Floats:
    """Noise of unit RMS whose power falls as 1 / f^`exponent` above 20 Hz."""
    freqs = np.maximum(np.fft.rfftfreq(samples, 1.0 / RATE), 20.0).astype(np.float32)
    white = rng.standard_normal(samples, dtype=np.float32)
    noise = np.fft.irfft(np.fft.rfft(white) * freqs ** (-exponent / 2.0), samples)
    return (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)


def trim(audio: NDArray[np.int16]) -> NDArray[np.int16]:
    """`audio` without the start and end that lie 40 dB or more below its loudest 20 ms."""
    size = RATE // 50
    blocks = audio[: len(audio) // size * size].astype(np.float32).reshape(-1, size)
    power = (blocks**2).mean(axis=1)
    loud = np.flatnonzero(power > power.max(initial=0.0) * 1e-4)
    return audio[loud[0] * size : (loud[-1] + 1) * size] if len(loud) else audio
