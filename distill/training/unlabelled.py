"""Batches of unlabelled audio, mixed and changed as rooms and microphones change it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from distill.scenes.mic_augment import DeviceSpec, draw_device, through_device
from distill.scenes.noise import RATE
from distill.scenes.room_augment import RoomSpec, draw_room, placed_in_room
from edge.inference.features import Floats

LONGEST = 10 * RATE  # samples; a recording that is longer is not drawn more often


@dataclass(frozen=True)
class MixSpec:
    """The distributions that a mixture is drawn from; pairs are the ends of uniform ones."""

    mixed_share: float = 0.6  # mixtures of two recordings; the others are one recording
    second_db: tuple[float, float] = (-10.0, 10.0)  # level of the second, re the first
    looped_share: float = 0.5  # short recordings that are repeated; the others stand in silence
    gain_db: tuple[float, float] = (-20.0, 6.0)
    noise_share: float = 0.3  # mixtures with white noise
    noise_db: tuple[float, float] = (-70.0, -30.0)  # re full scale
    device_share: float = 0.25  # mixtures that a microphone changes
    room: RoomSpec = field(default_factory=lambda: RoomSpec(share=0.2))
    device: DeviceSpec = field(default_factory=DeviceSpec)


class UnlabelledBatches(Dataset[Tensor]):
    """Batch `i` of a run depends on its seed and `i` alone, so that a run can be resumed."""

    def __init__(
        self,
        audio: list[NDArray[np.int16]],
        samples: int,
        batch: int,
        seed: int,
        spec: MixSpec | None = None,
    ) -> None:
        """Draw from `audio`, recordings of mono 16-bit samples at `RATE`.

        Parameters
        ----------
        audio
            May be mapped from disk.
        samples
            Length of each mixture.
        batch
            Mixtures in a batch.
        seed
            Another seed gives other mixtures.
        """
        self._audio, self._samples, self._batch, self._seed = audio, samples, batch, seed
        self._spec = spec or MixSpec()
        # Between one share a recording and one a second: long ones hold more that is new.
        weights = np.sqrt([min(len(one), LONGEST) for one in audio])
        self._odds = np.cumsum(weights) / weights.sum()

    def __getitem__(self, number: int) -> Tensor:
        """Return mixtures (batch, samples) within full scale."""
        rng = np.random.default_rng([self._seed, number])
        return torch.from_numpy(np.stack([self._mixture(rng) for _ in range(self._batch)]))

    def _mixture(self, rng: np.random.Generator) -> Floats:
        spec = self._spec
        mixture, _ = placed_in_room(rng, self._crop(rng), spec.room, draw_room(rng, spec.room))
        if rng.random() < spec.mixed_share:
            mixture = mixture + self._crop(rng) * _gain(rng, spec.second_db)
        if rng.random() < spec.device_share:
            return through_device(rng, mixture, spec.device, draw_device(rng, spec.device))
        mixture = mixture * _gain(rng, spec.gain_db)
        if rng.random() < spec.noise_share:
            noise = rng.standard_normal(len(mixture), dtype=np.float32)
            mixture = mixture + noise * _gain(rng, spec.noise_db)
        return mixture / np.float32(max(1.0, float(np.abs(mixture).max())))

    def _crop(self, rng: np.random.Generator) -> Floats:
        """Part of a recording, or a short one whole."""
        index = min(len(self._audio) - 1, int(np.searchsorted(self._odds, rng.random())))
        recording, size = self._audio[index], self._samples
        if len(recording) >= size:
            start = int(rng.integers(len(recording) - size + 1))
            samples = recording[start : start + size]
        elif rng.random() < self._spec.looped_share:
            samples = np.resize(recording, size)
        else:
            samples = np.zeros(size, np.int16)
            start = int(rng.integers(size - len(recording) + 1))
            samples[start : start + len(recording)] = recording
        return samples.astype(np.float32) / np.float32(32768.0)


def _gain(rng: np.random.Generator, db: tuple[float, float]) -> np.float32:
    return np.float32(10.0 ** (rng.uniform(*db) / 20.0))
