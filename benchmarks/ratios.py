"""Ratios of measurements whose rounds are few and noisy."""

from __future__ import annotations

import statistics

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import Measurement

Doubles = NDArray[np.float64]


def ratio_of_rounds(a: Measurement, b: Measurement) -> float:
    """How many times `b` measured `a` did: the median over rounds of a/b.

    In a run the systems take turns, so what slows a round slows both and cancels. Where the numbers
    of rounds differ there are no pairs, and it is the ratio of the medians.
    """
    if len(a.rounds) != len(b.rounds):
        return a.median / b.median
    return statistics.median(x / y for x, y in zip(a.rounds, b.rounds, strict=True))


def resampled_medians(rounds: list[float], draws: int, rng: np.random.Generator) -> Doubles:
    """The median of each of `draws` bootstrap samples of `rounds`; shape = (draws,)."""
    values = np.asarray(rounds, dtype=np.float64)
    return np.median(values[rng.integers(len(values), size=(draws, len(values)))], axis=1)
