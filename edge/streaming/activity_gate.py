"""Decide whether a window contains a sound that stands out from the background.

In each frequency band, the gate estimates the noise floor: a low quantile of the levels of about
the last minute. A steady fan, rain or hum is part of the floor. A bark is above the floor. Rain
that begins is above the floor too, until it has lasted long enough to become the floor.

The quantile is the method of Stahl, Fischer and Bippus, "Quantile based noise estimation for
spectral subtraction and Wiener filtering" (ICASSP 2000). It does not classify frames as noise, so
a wrong decision cannot freeze the floor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.inference.features import FeatureSpec, Floats

# Minimum of all levels, in dB re full scale. Audio that is missing has this level.
SILENCE_DB = -120.0


@dataclass(frozen=True)
class GateSpec:
    """Parameters of the noise floor; `aac-bench gate` measures their effect."""

    # Seconds of audio whose mean power is one level; shorter than the pauses of alarms.
    slice_s: float = 0.1
    horizon_s: float = 55.0  # Seconds of levels that the floor is estimated from.
    quantile: float = 0.1  # Share of these levels that lies below the floor.
    bands: int = 16  # Number of frequency bands; each joins neighbouring mel bands.
    every_s: float = 1.0  # Seconds from one estimate of the floor to the next.


def loud_db(level_db: Floats) -> float:
    """Return the level of the loud parts of a window: the 98th percentile of its frames.

    A drum beat is long enough to count. A click is not.

    Parameters
    ----------
    level_db
        Level of each frame in dB, shape (frames,).
    """
    return float(np.percentile(level_db, 98.0))


class ActivityGate:
    """Measure how far the windows of one stream stand out from the noise floor.

    Each frame is pushed once, in order. The floor depends on past frames only and is estimated at
    fixed times, so the result does not depend on how many frames arrive at once.
    """

    def __init__(self, features: FeatureSpec, spec: GateSpec | None = None) -> None:
        """Prepare for a new stream.

        Parameters
        ----------
        features
            The features of the frames. Their `mean` and `std` undo the normalisation.
        spec
            Parameters of the noise floor; the defaults if None.
        """
        self.features, self.spec = features, spec or GateSpec()
        seconds = features.hop / features.sample_rate
        self._slice = max(1, round(self.spec.slice_s / seconds))  # Frames in a slice.
        self._slice_s = self._slice * seconds
        # Slices between two estimates of the floor.
        self._every = max(1, round(self.spec.every_s / self._slice_s))
        estimates = max(2, round(self.spec.horizon_s / self._slice_s / self._every))
        groups = np.array_split(np.arange(features.n_mels), min(self.spec.bands, features.n_mels))
        self._bands = np.array([mels[0] for mels in groups])  # First mel band of each band.
        # Factor from the sum of a slice's mel powers to mean power re full scale; see `level_db`.
        self._scale = np.float32(1.0 / (self._slice * 3.0 / 16.0 * features.window**2))
        # Start from a silent history, so that the first sounds always count as novel.
        shape = len(groups), estimates * self._every
        self._levels: Floats = np.full(shape, SILENCE_DB, np.float32)
        self._floor = self._estimate_floor()
        self._restart()

    def _restart(self) -> None:
        # Frames of the incomplete slice.
        self._frames: Floats = np.zeros((0, self.features.n_mels), np.float32)
        self._novelty: Floats = np.zeros(0, np.float32)  # Novelty in dB of each slice that is kept.
        self._first = 0  # Number of the first slice that is kept.
        self._at = 0  # Column of `_levels` for the next level.

    @property
    def heard(self) -> int:
        """The number of frames pushed so far."""
        return (self._first + len(self._novelty)) * self._slice + len(self._frames)

    def push(self, frames: Floats) -> None:
        """Push the next frames.

        Parameters
        ----------
        frames
            Normalised features, shape (frames, mels). No frame may depend on other frames.
        """
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
                self._floor = self._estimate_floor()

    def novelty_db(self, start: int, end: int) -> float:
        """Return the novelty of a window: its largest level above the floor, in dB, at least 0.

        The largest value over all slices and bands of the window counts. A window that is shorter
        than a slice cannot be judged and counts as novel.

        Parameters
        ----------
        start, end
            The first frame of the window, and the frame after its last one.
        """
        novelty = self._novelty[
            start // self._slice - self._first : end // self._slice - self._first
        ]
        if not len(novelty):
            return -SILENCE_DB
        return max(0.0, float(novelty.max()))

    def forget(self, before: int) -> None:
        """Discard the novelty before the frame `before`; no later window may start before it."""
        first = max(self._first, before // self._slice)
        self._novelty = self._novelty[first - self._first :]
        self._first = first

    def skip(self, seconds: float) -> None:
        """Continue after a gap of `seconds` in the audio, and restart the frame count at 0.

        The gap counts as silence in the history of levels. A short gap hardly changes the floor, so
        a steady fan does not become novel after a gap of a second.
        """
        levels = np.roll(self._levels, -self._at, axis=1)  # Oldest level first.
        lost = min(levels.shape[1], round(seconds / self._slice_s))
        self._levels = np.pad(levels[:, lost:], ((0, 0), (0, lost)), constant_values=SILENCE_DB)
        self._floor = self._estimate_floor()
        self._restart()

    def _estimate_floor(self) -> Floats:
        """Return the present noise floor in dB, shape (bands,)."""
        index = int(self.spec.quantile * self._levels.shape[1])
        # np.partition takes ten times as long if most levels are equal, as in silence.
        return np.sort(self._levels, axis=1)[:, index]

    def _levels_of(self, frames: Floats) -> Floats:
        """Return the level of each slice and band, in dB re full scale, shape (slices, bands).

        The scale is that of `edge.inference.features.level_db`.
        """
        spec, tenth = self.features, np.float32(np.log(10.0) / 10.0)
        levels = np.full((len(frames) // self._slice, len(self._levels)), SILENCE_DB, np.float32)
        # A level must not depend on how many slices arrive at once. So each slice is computed alone
        # and without BLAS, because the order of its sums depends on the number of rows. Powers of e
        # are faster than powers of 10.
        for number in range(len(levels)):
            rows = frames[number * self._slice : (number + 1) * self._slice]
            power = np.exp(rows * (tenth * np.float32(spec.std)) + tenth * np.float32(spec.mean))
            power = np.add.reduceat(power.sum(axis=0), self._bands)
            np.maximum(levels[number], np.log(power * self._scale) / tenth, out=levels[number])
        return levels
