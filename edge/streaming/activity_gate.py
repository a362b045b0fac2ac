"""The gate: whether a window holds anything that stands out from what has long been there.

In each band of frequency it knows the level that the last minute was hardly ever below: the floor.
A fan, rain or hum that goes on is the floor; a bark is above it, and so is rain that begins, until
it has gone on for so long that it is the floor. The floor is a quantile of recent levels, after
Stahl, Fischer and Bippus, "Quantile based noise estimation for spectral subtraction and Wiener
filtering" (ICASSP 2000). It needs no decision on what is noise, so it cannot lock up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.inference.features import FeatureSpec, Floats

SILENCE_DB = -120.0  # that levels are at least; what was not heard counts as silence


@dataclass(frozen=True)
class GateSpec:
    """How a floor is known; `aac-bench gate` measures what follows from it."""

    slice_s: float = 0.1  # whose mean power is one level; shorter than the pauses of alarms
    horizon_s: float = 55.0  # of levels that are remembered
    quantile: float = 0.1  # share of them that lies below the floor
    bands: int = 16  # of neighbouring mel bands
    every_s: float = 1.0  # from one look for the floor to the next


def loud_db(level_db: Floats) -> float:
    """Level that a fiftieth of the frames exceed: a beat of a drum counts, a click does not."""
    return float(np.percentile(level_db, 98.0))


class ActivityGate:
    """How far the windows of one stream stand out; each frame is given once, in order.

    A floor is causal, and taken at fixed times: how the frames are portioned changes nothing.
    """

    def __init__(self, features: FeatureSpec, spec: GateSpec | None = None) -> None:
        """`features` says how the frames are normalised."""
        self.features, self.spec = features, spec or GateSpec()
        seconds = features.hop / features.sample_rate
        self._slice = max(1, round(self.spec.slice_s / seconds))  # frames
        self._slice_s = self._slice * seconds
        self._every = max(1, round(self.spec.every_s / self._slice_s))  # slices
        looks = max(2, round(self.spec.horizon_s / self._slice_s / self._every))
        groups = np.array_split(np.arange(features.n_mels), min(self.spec.bands, features.n_mels))
        self._bands = np.array([mels[0] for mels in groups])  # The first mel of each band.
        self._scale = np.float32(1.0 / (self._slice * 3.0 / 16.0 * features.window**2))
        # As nothing is known of what was before, it was silent: all that sounds is new at first.
        self._levels: Floats = np.full((len(groups), looks * self._every), SILENCE_DB, np.float32)
        self._floor = self._look()
        self._restart()

    def _restart(self) -> None:
        self._frames: Floats = np.zeros((0, self.features.n_mels), np.float32)  # of no slice yet
        self._novelty: Floats = np.zeros(0, np.float32)  # of each slice that is kept, in dB
        self._first = 0  # number of the first of them
        self._at = 0  # where the next level goes

    @property
    def heard(self) -> int:
        """Frames that were pushed so far."""
        return (self._first + len(self._novelty)) * self._slice + len(self._frames)

    def push(self, frames: Floats) -> None:
        """The next frames, (frames, mels), none of which depends on others."""
        frames = np.concatenate([self._frames, frames])
        whole = len(frames) // self._slice * self._slice
        self._frames = frames[whole:]
        levels = self._levels_of(frames[:whole])
        while len(levels):
            now = levels[: self._every - self._at % self._every]
            levels = levels[len(now) :]
            self._novelty = np.append(self._novelty, (now - self._floor).max(axis=1))
            self._levels[:, self._at : self._at + len(now)] = now.T
            self._at = (self._at + len(now)) % self._levels.shape[1]
            if self._at % self._every == 0:
                self._floor = self._look()

    def novelty_db(self, start: int, end: int) -> float:
        """By how much the window from frame `start` to `end` stands out from the floor, at least 0.

        In the slice and the band where it does so most.
        """
        novelty = self._novelty[
            start // self._slice - self._first : end // self._slice - self._first
        ]
        if not len(novelty):  # too short to be judged
            return -SILENCE_DB
        return max(0.0, float(novelty.max()))

    def forget(self, before: int) -> None:
        """No window will start before the frame `before`."""
        first = max(self._first, before // self._slice)
        self._novelty = self._novelty[first - self._first :]
        self._first = first

    def skip(self, seconds: float) -> None:
        """Frames are counted anew, after so much that was not heard.

        The floor stays where that is short: a gap of a second does not make a fan new.
        """
        known = np.roll(self._levels, -self._at, axis=1)  # the oldest first
        lost = min(known.shape[1], round(seconds / self._slice_s))
        self._levels = np.pad(known[:, lost:], ((0, 0), (0, lost)), constant_values=SILENCE_DB)
        self._floor = self._look()
        self._restart()

    def _look(self) -> Floats:
        """The floor as it is now, in each band."""
        place = int(self.spec.quantile * self._levels.shape[1])
        # Not np.partition: it takes ten times as long where most levels are alike, as in silence.
        return np.sort(self._levels, axis=1)[:, place]

    def _levels_of(self, frames: Floats) -> Floats:
        """Levels in dB re full scale, as of `level_db`; shape = (slices, bands)."""
        spec, tenth = self.features, np.float32(np.log(10.0) / 10.0)  # e is quicker than 10
        levels = np.full((len(frames) // self._slice, len(self._levels)), SILENCE_DB, np.float32)
        # Each slice is computed alone, without BLAS, which adds up in another order where there
        # are more rows: a level must not depend on how many slices came at once.
        for number in range(len(levels)):
            part = frames[number * self._slice : (number + 1) * self._slice]
            power = np.exp(part * (tenth * np.float32(spec.std)) + tenth * np.float32(spec.mean))
            power = np.add.reduceat(power.sum(axis=0), self._bands)
            np.maximum(levels[number], np.log(power * self._scale) / tenth, out=levels[number])
        return levels
