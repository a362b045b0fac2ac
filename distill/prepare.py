"""From recordings to training data: `aac-distill prepare`, resumable shard by shard."""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from distill.captions import Wordings, load_wordings, write
from distill.config import DataConfig
from distill.corpus import CorpusError, load_all, read_clips
from distill.decoder_training import train_decoder
from distill.noise import RATE
from distill.readback import vocabulary as words_of
from distill.simulate import SceneSpec, Simulator
from distill.sources import Recordings, summary
from distill.store import (
    TEACHER,
    read_shard,
    shard_folders,
    write_about,
    write_pseudo,
    write_shard,
)
from distill.tagger import load_tagger
from distill.teacher import AudioSetTrm, Teacher
from distill.userdata import Recording, normalise
from distill.vocabulary import Vocabulary, vocabulary_of
from edge.clip import read_clip
from edge.errors import AudioError
from edge.features import FeatureSpec, Floats, LogMel

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
CALIBRATION_CLIPS = 200  # that show int8 the range of real values
LONGEST_S = 30.0  # of a user's recording; the rest of a longer one is not heard
TEACHER_BATCH = 16


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
        said = [write(scene.truth, self.wordings, rng) for _ in range(self.references)]
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


def prepare(
    config: DataConfig,
    corpus: Path,
    tagger: Path,
    htsat: Path | None,
    recordings: list[Recordings],
    store: Path,
    strict: bool,
    say: Callable[[str], None],
) -> None:
    """Make the training data in `store`: scenes of `corpus` and a user's `recordings`.

    The teacher is the tagger with a decoder that is trained here, or a user's HTSAT-BART in
    `htsat`, as it is.

    Raises: CorpusError if the corpus or a teacher cannot be read, or `store` not be written; with
        `strict`, also if a recording cannot be decoded.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    wordings = load_wordings()
    clips = [clip for clip in read_clips(corpus) if clip.split == "train"]
    if odd := sorted({clip.label for clip in clips} - set(wordings.labels)):
        raise CorpusError(f"{corpus}: has labels without wordings: {', '.join(odd[:3])} ...")
    own = [normalise(c) for found in recordings for r, _ in found.items for c in r.captions]
    vocabulary = vocabulary_of(words_of(wordings), own)
    teacher = _teacher(tagger, htsat, vocabulary, device)
    try:
        (store / "shards").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CorpusError(f"{store}: cannot be written ({error.strerror})") from None
    say(f"loading {len(clips)} clips of {len({c.label for c in clips})} labels")
    simulator = Simulator(clips, load_all(clips, RATE), SceneSpec(), config.seed)
    maker = Maker(simulator, wordings, config.references, teacher.sample_rate)
    jobs = [job for job in plan(config, recordings, store) if not job.folder.exists()]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the workers have the cores
    for made in tqdm(_made(maker, jobs), total=len(jobs), desc="shards", unit="shard"):
        for fault in made.faults:
            if strict:
                raise CorpusError(fault)
            say(f"left out: {fault}")
        if not made.captions:
            continue
        embedding, memory = _heard(teacher, made.audio, device)
        arrays = {"features": made.features, "embedding": embedding, "memory": memory}
        write_shard(made.folder, arrays, made.captions)
    torch.set_num_threads(threads)
    shards = [read_shard(folder) for folder in shard_folders(store)]
    if isinstance(teacher, AudioSetTrm):
        if (store / TEACHER).exists():
            teacher = AudioSetTrm.load(store / TEACHER, teacher.tagger)
        else:
            train_decoder(teacher, shards, config, device)
            teacher.save(store / TEACHER)
        teacher.decoder.to(device)
    todo = [f for f, shard in zip(shard_folders(store), shards, strict=True) if not shard.pseudo]
    for folder in tqdm(todo, desc="teacher's captions", unit="shard"):
        write_pseudo(folder, _said(teacher, read_shard(folder).memory, config.beam, device))
    calibration = clips[:: max(1, len(clips) // CALIBRATION_CLIPS)]
    write_about(
        store,
        {
            "config": asdict(config),
            "teacher": teacher.name,
            "words": vocabulary.words,
            "features": asdict(FEATURES),
            "quiet_captions": wordings.quiet,
            "data": summary(clips, recordings),
            "calibration": [str(clip.path) for clip in calibration],
        },
    )


def _teacher(
    tagger: Path, htsat: Path | None, vocabulary: Vocabulary, device: torch.device
) -> Teacher:
    if htsat is None:
        teacher = AudioSetTrm(load_tagger(tagger), vocabulary)
        teacher.tagger.to(device)
        return teacher
    from distill.htsat_bart import load_htsat_bart  # needs the extra `htsat`

    return load_htsat_bart(htsat).to(device)


_MAKER: Maker | None = None


def _work(job: Job) -> Made:
    assert _MAKER is not None
    return _MAKER(job)


def _made(maker: Maker, jobs: list[Job]) -> Iterator[Made]:
    """The jobs done, on every core; processes share the clips, which are too large to send."""
    global _MAKER
    _MAKER = maker
    if "fork" not in multiprocessing.get_all_start_methods():
        yield from map(maker, jobs)
        return
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        yield from pool.imap(_work, jobs)


@torch.inference_mode()
def _heard(
    teacher: Teacher, audio: NDArray[np.int16], device: torch.device
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Embeddings and memories of `audio` (clips, samples)."""
    audio = audio[:, : round(teacher.longest_s * teacher.sample_rate)]
    parts = []
    for start in range(0, len(audio), TEACHER_BATCH):
        batch = torch.from_numpy(audio[start : start + TEACHER_BATCH]).to(device)
        parts.append([x.float().cpu().numpy() for x in teacher.encode(batch / 32767.0)])
    embeddings, memories = zip(*parts, strict=True)
    return np.concatenate(embeddings), np.concatenate(memories)


def _said(
    teacher: Teacher, memory: NDArray[np.float16], beam: int, device: torch.device
) -> list[str]:
    captions: list[str] = []
    for start in range(0, len(memory), 100):
        batch = torch.from_numpy(np.array(memory[start : start + 100], np.float32))
        captions += teacher.write(batch.to(device), beam)
    return captions
