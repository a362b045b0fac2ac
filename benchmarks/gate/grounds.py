"""Backgrounds that go on: noises, hums, and held-back recordings of rain, machines and wind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from distill.scenes.audibility import level_db
from distill.scenes.noise import NOISES, RATE, shaped_noise
from edge.inference.features import Floats

GROUND_S = 120.0  # of each background
QUIET_DB = (-90.0, -66.0)  # of a silent room through a microphone, re full scale
LEVEL_DB = (-55.0, -25.0)  # of other backgrounds
SELF_NOISE_DB = -80.0  # of the microphone, under them
JOIN_S = 0.5  # over which a recording that is played again fades into itself
SHORTEST_S = 2.0  # of a recording that is played again and again

# Labels of `distill/captions/wordings.yaml` that go on evenly, and those that rise and fall.
EVEN = {
    *("Rain", "Rain on surface", "Stream", "Waterfall", "Shower", "Water tap, faucet"),
    *("Hair dryer", "Electric shaver", "Vacuum cleaner", "Washing machine", "Clothes dryer"),
    *("Static", "Engine", "Airplane cabin", "Jet engine", "Propeller plane", "Helicopter"),
}
UNEVEN = {"Waves", "Wind", "Train", "Traffic noise, roadway noise", "Fire crackling"}

# By what they are called in tables. Of the first two nothing is to be said at any time.
KINDS = {
    "silent": "digital silence",
    "room": "a silent room, the microphone's own noise",
    "white": "white noise",
    "pink": "pink noise",
    "brown": "brown noise",
    "fan": "a fan: hum with overtones, and its air",
    "drift": "noise that swells and fades by 8 dB within minutes",
    "even": "recordings: rain, water, motors, machines",
    "uneven": "recordings: wind, waves, traffic, trains, fire",
}
NEVER = ("silent", "room")


@dataclass(frozen=True)
class Ground:
    """`GROUND_S` of one background at `RATE`."""

    kind: str
    label: str  # of the recording; empty if it is none
    audio: Floats


def grounds(
    recordings: Sequence[tuple[str, Floats]], each: int, rng: np.random.Generator
) -> Iterator[Ground]:
    """`each` backgrounds of every kind; of a kind without `recordings` (label, audio), none."""
    for kind in KINDS:
        labels = {"even": EVEN, "uneven": UNEVEN}.get(kind)
        its = [one for one in recordings if labels and one[0] in labels]
        its = [one for one in its if len(one[1]) >= SHORTEST_S * RATE]
        for number in range(each if its or not labels else 0):
            label, audio = its[number % len(its)] if labels else ("", None)
            yield Ground(kind, label, _made(kind, audio, rng))


def _made(kind: str, recording: Floats | None, rng: np.random.Generator) -> Floats:
    size = round(GROUND_S * RATE)
    if kind == "silent":
        return np.zeros(size, np.float32)
    if kind == "room":
        return at_level(shaped_noise(rng, size, rng.uniform(0.0, 2.0)), rng.uniform(*QUIET_DB))
    if recording is not None:
        sound = _again_and_again(recording, size)
    elif kind == "fan":
        sound = _fan(rng, size)
    elif kind == "drift":
        sound = shaped_noise(rng, size, rng.uniform(0.0, 2.0)) * _swell(rng, size)
    else:
        sound = shaped_noise(rng, size, NOISES[f"{kind.capitalize()} noise"])
    electronics = at_level(rng.standard_normal(size, np.float32), SELF_NOISE_DB)
    return at_level(sound, rng.uniform(*LEVEL_DB)) + electronics


def at_level(audio: Floats, db: float) -> Floats:
    """`audio` with its loud parts at `db` re full scale."""
    return audio * np.float32(10.0 ** ((db - level_db(audio)) / 20.0))


def _again_and_again(audio: Floats, size: int) -> Floats:
    """`size` samples of `audio`, whose end fades into its start each time."""
    join = min(len(audio) // 4, round(JOIN_S * RATE))
    fade = np.sqrt(np.linspace(0.0, 1.0, join, dtype=np.float32))
    body = audio[:-join].copy()
    body[:join] = body[:join] * fade + audio[-join:] * fade[::-1]
    return np.resize(body, size)


def _fan(rng: np.random.Generator, size: int) -> Floats:
    """A motor's hum that wavers a little, with overtones, in the noise of its air."""
    seconds = np.arange(size) / RATE
    turns = rng.uniform(50.0, 130.0) * (seconds + 0.0005 * np.sin(2.0 * np.pi * 0.3 * seconds))
    hum = np.zeros(size)
    for overtone in range(1, 12):
        gain = 10.0 ** (-rng.uniform(3.0, 9.0) * overtone / 20.0)
        hum += gain * np.sin(2.0 * np.pi * overtone * turns + rng.uniform(0.0, 2.0 * np.pi))
    air = shaped_noise(rng, size, 1.2) * 10.0 ** (rng.uniform(-20.0, 0.0) / 20.0)
    return (hum / hum.std() + air).astype(np.float32)


def _swell(rng: np.random.Generator, size: int) -> Floats:
    """Gains within 8 dB, of a period of one to four minutes."""
    phase = 2.0 * np.pi * (np.arange(size) / RATE / rng.uniform(60.0, 240.0) + rng.random())
    return (10.0 ** (4.0 * np.sin(phase) / 20.0)).astype(np.float32)
