"""What students and teachers are examined with: held-back clips, and scenes made of them alone."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from distill.captions.writer import Wordings, generalised, write
from distill.corpus.dataset import Clip, load_all, read_clips
from distill.errors import CorpusError
from distill.scenes.annotations import Truth
from distill.scenes.noise import NOISES, RATE
from distill.scenes.simulator import SceneSpec, Simulator
from edge.inference.features import Floats

ENOUGH = 5  # held-back clips of a label, for its share to mean something
SCENE_S = 5.0  # as long as the loop's window
REFERENCES = 5  # captions of a scene
SCENES = ("scene", "pair", "sequence", "quiet", "noise")
SEED = 20_407  # no scene of training has it


@dataclass(frozen=True)
class Item:
    """Audio at `RATE`, and what is true of it."""

    kind: str  # "clip", or one of SCENES
    audio: Floats
    labels: tuple[str, ...]  # in the order in which they begin; none where nothing sounds
    references: tuple[str, ...] = ()
    clip: Clip | None = None


def held_back_clips(corpus: Path) -> list[Clip]:
    """Clips of the splits `val` and `test`, of labels that are trained on.

    Raises: CorpusError if there are none.
    """
    clips = read_clips(corpus)
    trained = {clip.label for clip in clips if clip.split == "train"}
    held = [clip for clip in clips if clip.split in ("val", "test") and clip.label in trained]
    if not held:
        raise CorpusError(f"{corpus}: holds back no clips (split val or test) to evaluate with")
    return held


def items(
    corpus: Path, wordings: Wordings, scenes: int, kinds: Collection[str] = SCENES
) -> list[Item]:
    """Every held-back clip by itself, and `scenes` of each of `kinds`.

    Raises: CorpusError if there are no clips, or too few labels for the scenes.
    """
    clips = held_back_clips(corpus)
    if scenes and len({clip.label for clip in clips} - NOISES.keys()) < 2:
        raise CorpusError(f"{corpus}: scenes need held-back clips of two labels; or --scenes 0")
    audio = load_all(clips, RATE)
    found = [
        Item("clip", samples.astype(np.float32) / 32768.0, (_sayable(clip),), clip=clip)
        for clip, samples in zip(clips, audio, strict=True)
    ]
    plain = SceneSpec(quiet_share=0.0, noise_share=0.0)
    two = replace(plain, events=(0.0, 1.0, 0.0, 0.0), ambience_share=0.0)
    specs = {
        "scene": plain,
        "pair": replace(two, sequence_share=0.0),
        "sequence": replace(two, sequence_share=1.0),
        "quiet": SceneSpec(quiet_share=1.0),
        "noise": SceneSpec(quiet_share=0.0, noise_share=1.0),
    }
    for number, (kind, spec) in enumerate(specs.items()):
        if kind not in kinds:
            continue
        simulator = Simulator(clips, audio, spec, SEED + number)
        found += _scenes(kind, simulator, wordings, scenes)
    return found


def _scenes(kind: str, simulator: Simulator, wordings: Wordings, count: int) -> list[Item]:
    made: list[Item] = []
    number = 0
    while len(made) < count:
        scene = simulator.scene(number, SCENE_S)
        number += 1
        truth = generalised(scene.truth, wordings.ontology, simulator.general)
        if kind in ("pair", "sequence") and len(truth.events) != 2:
            continue  # One of the two was masked, or both are said in the same words.
        rng = random.Random(f"{simulator.seed} {number}")
        references = tuple(write(truth, wordings, rng) for _ in range(REFERENCES))
        made.append(Item(kind, scene.audio, _labels(truth), references))
    return made


def _sayable(clip: Clip) -> str:
    """Return the label of `clip`, or its group if no more than its group can be said."""
    return clip.group if clip.level == "group" else clip.label


def _labels(truth: Truth) -> tuple[str, ...]:
    labels = [event.label for event in truth.events]
    return (*labels, truth.ambience) if truth.ambience else tuple(labels)


def common_labels(clips: list[Clip]) -> set[str]:
    """Labels with `ENOUGH` clips or more."""
    counts = Counter(clip.label for clip in clips)
    return {label for label, count in counts.items() if count >= ENOUGH}


def is_noise(label: str) -> bool:
    return label in NOISES or label == "noise"  # the group's general wording
