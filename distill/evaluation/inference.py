"""How a bundle and a teacher hear an item: the bundle through the loop that runs on the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr
import torch

from distill.evaluation.memory_source import Recorded
from distill.models.beam_search import beam_search
from distill.models.student import Student
from distill.models.vocabulary import Vocabulary
from distill.scenes.noise import RATE
from distill.teachers.audioset_trm import Teacher
from distill.training.shard_builder import FEATURES
from edge.config import StreamConfig
from edge.inference.captioner import Captioner
from edge.inference.features import Floats, LogMel
from edge.streaming.pipeline import StreamingCaptioner


@dataclass(frozen=True)
class Told:
    """What a system says of an item; empty if it says nothing."""

    text: str
    confidence: float
    windows: tuple[str, ...]  # what it said of each window


def by_bundle(captioner: Captioner, audio: Floats, config: StreamConfig) -> Told:
    """The most confident caption of the loop, and those of all windows."""
    captions = list(StreamingCaptioner(Recorded(audio, RATE), captioner, config).captions())
    windows = tuple(caption.text for caption in captions)
    said = [caption for caption in captions if caption.text]
    if not said:
        return Told("", 0.0, windows)
    best = max(said, key=lambda caption: caption.confidence)
    return Told(best.text, best.confidence, windows)


@torch.inference_mode()
def by_teacher(teacher: Teacher, audio: Floats, quiet: list[str]) -> Told:
    """The teacher's caption of the whole of `audio`."""
    _, memory = teacher.encode(torch.from_numpy(_at_least_a_second(audio))[None])
    return _whole(teacher.write(memory)[0], quiet)


@torch.inference_mode()
def by_student(student: Student, words: Vocabulary, audio: Floats, quiet: list[str]) -> Told:
    """A student's caption in PyTorch, before it is exported, of the whole of `audio`."""
    heard = soxr.resample(_at_least_a_second(audio), RATE, FEATURES.sample_rate, "MQ")
    features = torch.from_numpy(LogMel(FEATURES)(heard))[None]
    ids = beam_search(student.decoder, student.encoder(features), 1)[0]
    return _whole(words.decode(ids), quiet)


def _whole(text: str, quiet: list[str]) -> Told:
    text = "" if text in quiet else text
    return Told(text, 1.0, (text,))


def _at_least_a_second(audio: Floats) -> Floats:
    """As the loop has it: a shorter sound is set in silence."""
    return np.pad(audio, (0, max(0, RATE - len(audio))))
