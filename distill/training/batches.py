"""Batches of prepared clips, augmented; batch `i` of a run depends on its seed and number alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from distill.errors import CorpusError
from distill.models.student import StudentSpec
from distill.models.vocabulary import Vocabulary
from distill.training.config import TrainConfig
from distill.training.shards import Shard, read_shard, shard_folders
from edge.inference.features import FeatureSpec


@dataclass(frozen=True)
class Batch:
    features: Tensor  # (batch, frames, mels)
    embedding: Tensor  # (batch, dim), the teacher's
    tokens: Tensor  # (batch, longest caption); all `PAD` where there is only audio
    pseudo: Tensor  # the same of what the teacher wrote

    def to(self, device: torch.device) -> Batch:
        return Batch(*(x.to(device) for x in vars(self).values()))


@dataclass(frozen=True)
class Share:
    """A shard, or the part of it that an experiment takes."""

    shard: Shard
    captioned: bool


def choose(store: Path, config: TrainConfig) -> list[Share]:
    """The shards of `store` that are trained on: the first ones with captions, the last without.

    Raises: CorpusError if the shares overlap, or no shard is left.
    """
    if config.captioned + config.audio_only > 1.0 + 1e-9:
        raise CorpusError("captioned and audio_only: together they are more than all there is")
    shards = [read_shard(folder) for folder in shard_folders(store)]
    first = round(config.captioned * len(shards))
    last = min(round(config.audio_only * len(shards)), len(shards) - first)
    chosen = [Share(s, any(s.captions)) for s in shards[:first]]
    chosen += [Share(s, False) for s in shards[len(shards) - last :]]
    if not chosen:
        raise CorpusError(f"{store}: the shares of it that are trained on hold no shard")
    return chosen


class Batches(Dataset[Batch]):
    """The batches of a run; `rank` tells processes apart, so that each has its own."""

    def __init__(
        self,
        shares: list[Share],
        vocabulary: Vocabulary,
        config: TrainConfig,
        features: FeatureSpec,
        rank: int = 0,
    ) -> None:
        self._shares, self._vocabulary, self._config = shares, vocabulary, config
        self._features, self._rank = features, rank
        sizes = np.array([len(s.shard.captions) for s in shares], float)
        self._odds = sizes / sizes.sum()

    def __len__(self) -> int:
        return self._config.steps

    def __getitem__(self, step: int) -> Batch:
        config = self._config
        rng = np.random.default_rng([config.seed, 1, step, self._rank])
        share = self._shares[int(rng.choice(len(self._shares), p=self._odds))]
        shard = share.shard
        count = len(shard.captions)
        chosen = rng.choice(count, size=min(config.batch, count), replace=False)
        features = shard.features[chosen].astype(np.float32)
        augment(rng, features, config, self._features)
        length = StudentSpec(0).max_tokens + 1
        said = [
            str(rng.choice(shard.captions[i])) if share.captioned and shard.captions[i] else ""
            for i in chosen
        ]
        pseudo = [shard.pseudo[i] if shard.pseudo else "" for i in chosen]
        return Batch(
            torch.from_numpy(features),
            torch.from_numpy(shard.embedding[chosen].astype(np.float32)),
            self._vocabulary.batch(said, length),
            self._vocabulary.batch(pseudo, length),
        )


def augment(
    rng: np.random.Generator,
    features: NDArray[np.float32],
    config: TrainConfig,
    spec: FeatureSpec,
) -> None:
    """Change `features` (clips, frames, mels) as other microphones would, and blank spans of them.

    Gain and tilt over the bands stand for the device; blanked spans make the student use all of
    what it hears (Park et al., *SpecAugment*, 2019).
    """
    slope = np.linspace(-1.0, 1.0, features.shape[2], dtype=np.float32)
    floor = (10.0 * np.log10(spec.floor) - spec.mean) / spec.std
    for clip in features:
        gain = rng.uniform(-config.gain_db, config.gain_db)
        tilt = rng.uniform(-config.tilt_db, config.tilt_db)
        clip += (np.float32(gain) + np.float32(tilt) * slope) / np.float32(spec.std)
        np.maximum(clip, np.float32(floor), out=clip)
        for axis, most in ((0, config.mask_frames), (1, config.mask_bands)):
            span = int(rng.integers(min(most, clip.shape[axis] // 3) + 1))
            start = int(rng.integers(clip.shape[axis] - span + 1))
            clip[(slice(None),) * axis + (slice(start, start + span),)] = clip.mean()
