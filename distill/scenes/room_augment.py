"""Distance: a room answers, the air and obstacles take the high frequencies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distill.scenes.noise import RATE
from edge.features import Floats

FFT_STEP = 2**12


@dataclass(frozen=True)
class RoomSpec:
    """Where sounds are; pairs are the ends of uniform distributions."""

    share: float = 0.6  # of events that are given a distance; the others stay as recorded
    distance_m: tuple[float, float] = (0.5, 20.0)  # uniform in its logarithm
    critical_m: tuple[float, float] = (1.5, 4.0)  # where direct and reverberant sound are equal
    decay_s: tuple[float, float] = (0.15, 0.9)  # RT60
    near_m: float = 1.0  # nearer than this is plainly near
    far_m: float = 10.0  # farther is plainly far
    corner_hz_at_1_m: float = 40_000.0  # of the low-pass, which falls with the distance


def placed_in_room(rng: np.random.Generator, audio: Floats, spec: RoomSpec) -> tuple[Floats, str]:
    """`audio` from some distance, and "near" or "far" where that is plain to hear."""
    if rng.random() >= spec.share:
        return audio, ""
    distance = float(np.exp(rng.uniform(*np.log(spec.distance_m))))
    wet = distance / rng.uniform(*spec.critical_m)  # amplitude of the reverberation, re direct
    decay = rng.uniform(*spec.decay_s)
    length = min(len(audio), int(decay * RATE))
    tail = rng.standard_normal(length, dtype=np.float32)
    tail *= 10.0 ** (-3.0 * np.arange(length, dtype=np.float32) / (decay * RATE))
    response = tail * np.float32(wet / np.sqrt((tail**2).sum()))
    response[0] += 1.0
    # Padded, so that the end does not ring on at the start, to a length that FFTs like.
    size = -(-(len(audio) + length) // FFT_STEP) * FFT_STEP
    spectrum = np.fft.rfft(audio, size) * np.fft.rfft(response, size)
    freqs = np.fft.rfftfreq(size, 1.0 / RATE).astype(np.float32)
    corner = spec.corner_hz_at_1_m / (1.0 + distance)
    spectrum /= np.sqrt(1.0 + (freqs / np.float32(corner)) ** 4)
    placed = np.fft.irfft(spectrum, size)[: len(audio)].astype(np.float32)
    name = "near" if distance < spec.near_m else "far" if distance > spec.far_m else ""
    return placed, name
