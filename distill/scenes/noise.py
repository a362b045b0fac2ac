"""Noise of a given colour, which is a label and a room's tone, and silence cut from recordings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.inference.features import Floats

RATE = 32_000  # Hz; the teacher's rate, halved for the student

# Noises are synthesised as well: exponent of their power spectrum, 1 / f^exponent.
NOISES = {"White noise": 0.0, "Pink noise": 1.0, "Brown noise": 2.0}


def shaped_noise(rng: np.random.Generator, samples: int, exponent: float) -> Floats:
    """Noise of unit RMS whose power falls as 1 / f^`exponent` above 20 Hz."""
    freqs = np.maximum(np.fft.rfftfreq(samples, 1.0 / RATE), 20.0).astype(np.float32)
    white = rng.standard_normal(samples, dtype=np.float32)
    noise = np.fft.irfft(np.fft.rfft(white) * freqs ** (-exponent / 2.0), samples)
    return (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)


def microphone_wind(rng: np.random.Generator, samples: int) -> Floats:
    """Return the noise of wind on a microphone, of unit RMS: low, gusty, overdriven at gusts."""
    size = -(-samples // RATE) * RATE  # FFTs of other lengths are slow.
    freqs = np.maximum(np.fft.rfftfreq(size, 1.0 / RATE), 20.0).astype(np.float32)
    corner = np.exp(rng.uniform(np.log(80.0), np.log(500.0)))
    white = rng.standard_normal(size, dtype=np.float32)
    shape = 1.0 / (np.sqrt(freqs) * (1.0 + (freqs / np.float32(corner)) ** 2))
    noise = np.fft.irfft(np.fft.rfft(white) * shape, size)[:samples]
    noise /= np.sqrt(np.mean(noise**2))
    gusts = rng.standard_normal(2 + int(samples / RATE * rng.uniform(1.0, 5.0)))
    at = np.linspace(0.0, len(gusts) - 1.0, samples)
    noise *= np.exp(rng.uniform(0.4, 1.0) * np.interp(at, np.arange(len(gusts)), gusts))
    noise = np.tanh(noise / rng.uniform(1.5, 4.0))
    return (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)


def trim(audio: NDArray[np.int16]) -> NDArray[np.int16]:
    """`audio` without the start and end that lie 40 dB or more below its loudest 20 ms."""
    size = RATE // 50
    blocks = audio[: len(audio) // size * size].astype(np.float32).reshape(-1, size)
    power = (blocks**2).mean(axis=1)
    loud = np.flatnonzero(power > power.max(initial=0.0) * 1e-4)
    return audio[loud[0] * size : (loud[-1] + 1) * size] if len(loud) else audio
