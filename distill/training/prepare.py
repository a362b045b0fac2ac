"""From recordings to training data: `aac-distill prepare`, resumable shard by shard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from distill.captions.caption_parser import vocabulary as words_of
from distill.captions.english import normalise
from distill.captions.writer import load_wordings
from distill.corpus.dataset import load_all, read_clips
from distill.corpus.training_recordings import Recordings, summary
from distill.errors import CorpusError
from distill.models.vocabulary import Vocabulary, vocabulary_of
from distill.scenes.noise import RATE
from distill.scenes.simulator import SceneSpec, Simulator
from distill.teachers.audioset_trm import AudioSetTrm, Teacher
from distill.teachers.decoder_training import train_decoder
from distill.teachers.tagger import load_tagger
from distill.training.config import DataConfig
from distill.training.shard_builder import FEATURES, Job, Maker, make, plan
from distill.training.shards import (
    TEACHER,
    claim,
    read_shard,
    shard_folders,
    write_about,
    write_pseudo,
    write_shard,
)

CALIBRATION_CLIPS = 200  # that show int8 the range of real values
TEACHER_BATCH = 16


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

    Raises: CorpusError if the corpus or a teacher cannot be read, or `store` cannot be written or
        holds other data; with `strict`, also if a recording cannot be decoded.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    wordings = load_wordings()
    clips = [clip for clip in read_clips(corpus) if clip.split == "train"]
    if odd := sorted({clip.label for clip in clips} - wordings.names):
        raise CorpusError(f"{corpus}: has labels without wordings: {', '.join(odd[:3])} ...")
    own = [normalise(c) for found in recordings for r, _ in found.items for c in r.captions]
    vocabulary = vocabulary_of(words_of(wordings), own)
    teacher = _teacher(tagger, htsat, vocabulary, device)
    about = {
        "config": asdict(config),
        "teacher": teacher.name,
        "features": asdict(FEATURES),
        "quiet_captions": wordings.quiet,
        "data": summary(clips, recordings),
        "calibration": [
            str(clip.path) for clip in clips[:: max(1, len(clips) // CALIBRATION_CLIPS)]
        ],
    }
    claim(store, about)
    say(f"loading {len(clips)} clips of {len({c.label for c in clips})} labels")
    simulator = Simulator(clips, load_all(clips, RATE), SceneSpec(), config.seed)
    maker = Maker(simulator, wordings, config.references, teacher.sample_rate)
    jobs = [job for job in plan(config, recordings, store) if not job.folder.exists()]
    for fault in _make_shards(maker, jobs, teacher, device):
        if strict:
            raise CorpusError(fault)
        say(f"left out: {fault}")
    _teach(teacher, config, store, device)
    # A teacher of a user's has words of its own.
    said = [caption for folder in shard_folders(store) for caption in read_shard(folder).pseudo]
    write_about(store, about | {"words": vocabulary_of(words_of(wordings), own + said).words})


def _teacher(
    tagger: Path, htsat: Path | None, vocabulary: Vocabulary, device: torch.device
) -> Teacher:
    if htsat is None:
        teacher = AudioSetTrm(load_tagger(tagger), vocabulary)
        teacher.tagger.to(device)
        return teacher
    from distill.teachers.htsat_bart import load_htsat_bart  # needs the extra `htsat`

    return load_htsat_bart(htsat).to(device)


def _make_shards(
    maker: Maker, jobs: list[Job], teacher: Teacher, device: torch.device
) -> Iterator[str]:
    """Write a shard for each job; yields a line for each recording that could not be decoded."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the workers have the cores
    for made in tqdm(make(maker, jobs), total=len(jobs), desc="shards", unit="shard"):
        yield from made.faults
        if made.captions:
            embedding, memory = _heard(teacher, made.audio, device)
            arrays = {"features": made.features, "embedding": embedding, "memory": memory}
            write_shard(made.folder, arrays, made.captions)
    torch.set_num_threads(threads)


def _teach(teacher: Teacher, config: DataConfig, store: Path, device: torch.device) -> None:
    """Train the teacher's decoder, if it is ours, and let the teacher write of every clip."""
    folders = shard_folders(store)
    if isinstance(teacher, AudioSetTrm):
        if (store / TEACHER).exists():
            teacher = AudioSetTrm.load(store / TEACHER, teacher.tagger)
        else:
            train_decoder(teacher, [read_shard(folder) for folder in folders], config, device)
            teacher.save(store / TEACHER)
        teacher.decoder.to(device)
    todo = [folder for folder in folders if not read_shard(folder).pseudo]
    for folder in tqdm(todo, desc="teacher's captions", unit="shard"):
        write_pseudo(folder, _said(teacher, read_shard(folder).memory, config.beam, device))


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
