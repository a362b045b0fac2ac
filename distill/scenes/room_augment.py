"""Rooms and distance: a room answers; air and obstacles take the high frequencies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distill.scenes.noise import RATE
from edge.inference.features import Floats

FFT_STEP = 2**12


@dataclass(frozen=True)
class RoomSpec:
    """Where sounds are; pairs are the ends of uniform distributions."""

    share: float = 0.6  # Of events that are given a distance; the others stay as recorded.
    distance_m: tuple[float, float] = (0.5, 20.0)  # Uniform in its logarithm.
    far_field_share: float = 0.1  # Of scenes in which the microphone is far from every event.
    far_field_m: tuple[float, float] = (4.0, 20.0)
    outdoor_share: float = 0.2  # Of scenes without reverberation.
    critical_m: tuple[float, float] = (1.0, 4.0)  # Where direct and reverberant sound are equal.
    decay_s: tuple[float, float] = (0.15, 1.2)  # RT60
    near_m: float = 1.0  # Nearer than this is plainly near.
    far_m: float = 10.0  # Farther is plainly far.
    corner_hz_at_1_m: float = 40_000.0  # Of the low-pass, which falls with the distance.


@dataclass(frozen=True)
class Room:
    """The place of a scene, which all its events share."""

    critical_m: float  # Infinite outdoors.
    decay_s: float
    far_field: bool


def draw_room(rng: np.random.Generator, spec: RoomSpec) -> Room:
    """Draw the place of a scene."""
    outdoors = rng.random() < spec.outdoor_share
    critical = np.inf if outdoors else rng.uniform(*spec.critical_m)
    return Room(critical, rng.uniform(*spec.decay_s), rng.random() < spec.far_field_share)


def placed_in_room(
    rng: np.random.Generator, audio: Floats, spec: RoomSpec, room: Room
) -> tuple[Floats, str]:
    """Return `audio` from some distance in `room`, and "near" or "far" where that is plain."""
    if not room.far_field and rng.random() >= spec.share:
        return audio, ""
    ends = spec.far_field_m if room.far_field else spec.distance_m
    distance = float(np.exp(rng.uniform(*np.log(ends))))
    wet = distance / room.critical_m  # Amplitude of the reverberation relative to the direct sound.
    length = min(len(audio), int(room.decay_s * RATE)) if wet else 0
    # Padded, so that the end does not ring on at the start, to a length that FFTs like.
    size = -(-(len(audio) + length) // FFT_STEP) * FFT_STEP
    spectrum = np.fft.rfft(audio, size)
    if wet:
        tail = rng.standard_normal(length, dtype=np.float32)
        fall = np.float32(-3.0 * np.log(10.0) / (room.decay_s * RATE))
        tail *= np.exp(fall * np.arange(length, dtype=np.float32))
        response = tail * np.float32(wet / np.sqrt((tail**2).sum()))
        response[0] += 1.0
        spectrum *= np.fft.rfft(response, size)
    freqs = np.fft.rfftfreq(size, 1.0 / RATE).astype(np.float32)
    corner = spec.corner_hz_at_1_m / (1.0 + distance)
    spectrum /= np.sqrt(1.0 + (freqs / np.float32(corner)) ** 4)
    placed = np.fft.irfft(spectrum, size)[: len(audio)].astype(np.float32)
    name = "near" if distance < spec.near_m else "far" if distance > spec.far_m else ""
    return placed, name
