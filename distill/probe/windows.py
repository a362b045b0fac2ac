"""Windows of 5 s of a clip, as the loop on the device would hear them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from distill.scenes.noise import RATE, shaped_noise
from edge.inference.features import Floats

WINDOW = 5 * RATE  # samples
HOP = WINDOW // 2  # between the windows of a long clip, in samples
PAUSE = RATE // 2  # between repeats of a short clip, in samples
NOISE_DBFS = (-75.0, -60.0)  # RMS of the pink room noise around a clip that is too short
VERSION = 1  # Stored embeddings of another version are computed again.


@dataclass(frozen=True)
class Window:
    """Audio of 5 s. `heard`: as the loop hears the clip; the others are for training only."""

    audio: Floats
    heard: bool


def clip_windows(audio: Floats, key: str) -> list[Window]:
    """Return the windows of a clip; the same `key` gives the same ones.

    A clip of 5 s or more gives windows at a hop of 2.5 s, the last one aligned with its end. A
    shorter clip lies at a random place in faint pink noise, as a microphone in a room hears it.
    It gives a second window for training: the clip repeated with pauses of 0.5 s if two repeats
    fit, else at another place.
    """
    if len(audio) >= WINDOW:
        last = len(audio) - WINDOW
        starts = sorted({*range(0, last - HOP // 2, HOP), last})
        return [Window(audio[start : start + WINDOW], True) for start in starts]
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    level = np.float32(10.0 ** (rng.uniform(*NOISE_DBFS) / 20.0))
    noise = level * shaped_noise(rng, WINDOW, 1.0)
    placed = Window(_placed(audio, noise, rng), True)
    if 2 * len(audio) + PAUSE > WINDOW:
        return [placed, Window(_placed(audio, noise, rng), False)]
    period = np.concatenate([audio, np.zeros(PAUSE, np.float32)])
    return [placed, Window(noise + np.resize(period, WINDOW), False)]


def _placed(audio: Floats, noise: Floats, rng: np.random.Generator) -> Floats:
    window = noise.copy()
    start = int(rng.integers(WINDOW - len(audio) + 1))
    window[start : start + len(audio)] += audio
    return window
