"""Sounds that the build makes itself: noises, hums and test tones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from distill.corpus.cutting import RATE
from distill.scenes.noise import NOISES, shaped_noise
from edge.inference.features import Floats

COUNT = 100  # clips of each
SECONDS = 10.0


def _noise(exponent: float) -> Callable[[np.random.Generator], Floats]:
    def make(rng: np.random.Generator) -> Floats:
        return shaped_noise(rng, int(SECONDS * RATE), exponent + rng.uniform(-0.25, 0.25))

    return make


def _time() -> Floats:
    return np.arange(int(SECONDS * RATE), dtype=np.float32) / np.float32(RATE)


def _hum(rng: np.random.Generator) -> Floats:
    """The mains at 50 or 60 Hz: harmonics that fall off, the even ones of a rectifier stronger."""
    mains = float(rng.choice([50.0, 60.0])) * rng.uniform(0.998, 1.002)
    out = np.zeros(int(SECONDS * RATE), np.float32)
    slope = rng.uniform(0.6, 1.6)
    for n in range(1, 25):
        level = n**-slope * (1.5 if n % 2 == 0 else 1.0) * rng.uniform(0.3, 1.0)
        out += level * np.sin(2 * np.pi * mains * n * _time() + rng.uniform(0, 6.28))
    return out + 0.02 * shaped_noise(rng, len(out), 1.0)


def _tone(rng: np.random.Generator) -> Floats:
    """A steady sine, from 100 Hz to 6 kHz."""
    return np.sin(2 * np.pi * np.exp(rng.uniform(np.log(100.0), np.log(6000.0))) * _time())


def _beeps(rng: np.random.Generator) -> Floats:
    """A tone that is switched on and off, as machines do to be noticed."""
    pitch, period = rng.uniform(600.0, 3500.0), rng.uniform(0.25, 1.2)
    on = (_time() % period) < period * rng.uniform(0.3, 0.6)
    edge = np.hanning(RATE // 200).astype(np.float32)
    gate = np.convolve(on.astype(np.float32), edge / edge.sum(), mode="same")
    tone = np.sin(2 * np.pi * pitch * _time())
    if rng.random() < 0.5:
        tone = tone + rng.uniform(0.1, 0.4) * np.sin(6 * np.pi * pitch * _time())
    return np.asarray(tone * gate, np.float32)


MAKERS: dict[str, Callable[[np.random.Generator], Floats]] = {
    **{name: _noise(exponent) for name, exponent in NOISES.items()},
    "Mains hum": _hum,
    "Sine wave": _tone,
    "Beep, bleep": _beeps,
}


def synthesise(label: str, number: int) -> Floats:
    """Clip `number` of `label`, 10 s mono at `RATE` and a peak of one half; the same each time."""
    rng = np.random.default_rng([sorted(MAKERS).index(label), number])
    audio = np.asarray(MAKERS[label](rng), np.float32)
    return audio * (0.5 / np.abs(audio).max())
