"""Scenes and recordings as audio, features and captions, shard by shard, on every core."""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from distill.captions.english import normalise
from distill.captions.writer import Wordings, write
from distill.corpus.training_recordings import Recordings
from distill.corpus.user_recordings import Recording
from distill.scenes.noise import RATE
from distill.scenes.simulator import Simulator
from distill.training.config import DataConfig
from edge.audio.clip import read_clip
from edge.errors import AudioError
from edge.inference.features import FeatureSpec, Floats, LogMel

FEATURES = FeatureSpec(
    sample_rate=16_000,
    window=512,  # 32 ms
    hop=160,  # 10 ms
    n_mels=64,
    f_min=0.0,
    f_max=8000.0,
    floor=1e-10,
    mean=-24.0,  # of training scenes, rounded
    std=19.0,
)
LONGEST_S = 30.0  # of a user's recording; the rest of a longer one is not heard


@dataclass(frozen=True)
class Job:
    """One shard: scenes `start` to `start` + `count` - 1, or recordings of a user's."""

    folder: Path
    seconds: float
    start: int = 0
    count: int = 0
    recordings: tuple[Recording, ...] = ()


@dataclass(frozen=True)
class Made:
    """What a worker made of a job."""

    folder: Path
    features: NDArray[np.float16]
    audio: NDArray[np.int16]  # at the teacher's rate
    captions: list[list[str]]
    faults: list[str]  # recordings that could not be decoded, and why


@dataclass(frozen=True)
class Maker:
    """Turns jobs into audio, features and captions; each worker process has it."""

    simulator: Simulator
    wordings: Wordings
    references: int
    teacher_rate: int

    def __call__(self, job: Job) -> Made:
        log_mel = LogMel(FEATURES)
        numbers = range(job.start, job.start + job.count)
        made = [self._scene(number, job.seconds) for number in numbers]
        faults = []
        for recording in job.recordings:
            try:
                made.append(self._recording(recording, job.seconds))
            except AudioError as error:  # its header was in order, but not what follows
                faults.append(str(error))
        features, audio = [], []
        for samples, _ in made:
            features.append(log_mel(soxr.resample(samples, RATE, FEATURES.sample_rate, "MQ")))
            heard = soxr.resample(samples, RATE, self.teacher_rate, "MQ")
            audio.append((np.clip(heard, -1.0, 1.0) * 32767.0).astype(np.int16))
        return Made(
            job.folder,
            np.array(features, np.float16),
            np.array(audio, np.int16),
            [captions for _, captions in made],
            faults,
        )

    def _scene(self, number: int, seconds: float) -> tuple[Floats, list[str]]:
        scene = self.simulator.scene(number, seconds)
        rng = random.Random(f"{self.simulator.seed} {number}")
        general = self.simulator.general
        said = [write(scene.truth, self.wordings, rng, general) for _ in range(self.references)]
        return scene.audio, said

    def _recording(self, recording: Recording, seconds: float) -> tuple[Floats, list[str]]:
        samples = np.zeros(round(seconds * RATE), np.float32)
        heard = read_clip(recording.path, RATE)[: len(samples)]
        samples[: len(heard)] = heard
        return samples, [normalise(caption) for caption in recording.captions]


def plan(config: DataConfig, recordings: list[Recordings], store: Path) -> list[Job]:
    """The shards of scenes, then those of a user's recordings, by length."""
    rng = np.random.default_rng([config.seed, 3])
    jobs = []
    for number, start in enumerate(range(0, config.scenes, config.shard)):
        seconds = round(2.0 * rng.uniform(*config.seconds)) / 2.0
        count = min(config.shard, config.scenes - start)
        jobs.append(Job(store / "shards" / f"scenes-{number:05d}", seconds, start, count))
    for group, found in enumerate(recordings):
        ordered = sorted(found.items, key=lambda item: item[1])
        for number, start in enumerate(range(0, len(ordered), config.shard)):
            several = ordered[start : start + config.shard]
            # Shorter ones end in silence, up to half a second more than the longest.
            seconds = min(LONGEST_S, max(1.0, np.ceil(2.0 * several[-1][1]) / 2.0))
            folder = store / "shards" / f"user-{group}-{number:05d}"
            jobs.append(Job(folder, float(seconds), recordings=tuple(r for r, _ in several)))
    return jobs


_MAKER: Maker | None = None


def _work(job: Job) -> Made:
    assert _MAKER is not None
    return _MAKER(job)


def make(maker: Maker, jobs: list[Job]) -> Iterator[Made]:
    """The jobs done, on every core; processes share the clips, which are too large to send."""
    global _MAKER
    _MAKER = maker
    if "fork" not in multiprocessing.get_all_start_methods():
        yield from map(maker, jobs)
        return
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        yield from pool.imap(_work, jobs)
