"""What each window of a stream holds, as the gate and the model have it: no threshold yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import soxr

from benchmarks.gate.grounds import GROUND_S, NEVER, Ground, at_level
from distill.captions.caption_parser import Reader, read
from distill.corpus.dataset import Clip
from distill.scenes.audibility import level_db as loud_parts_db
from distill.scenes.noise import RATE
from distill.scenes.room_augment import RoomSpec, draw_room, placed_in_room
from edge.config import StreamConfig
from edge.inference.captioner import Captioner
from edge.inference.features import Floats, LogMel, level_db
from edge.streaming.activity_gate import ActivityGate, loud_db

BEFORE_S = 70.0  # of a background, before an event in it: its floor is known by then
LONGEST_S = 8.0  # of an event
OVER_DB = (0.0, 30.0)  # of an event, re its background
EVENT_DB = (-50.0, -12.0)  # of an event in silence, and the loudest one elsewhere, re full scale
WINDOW = StreamConfig()  # the lengths of the loop that ships


@dataclass(frozen=True)
class Window:
    """What thresholds judge by, and what would be said."""

    end_s: float
    level_db: float
    novelty_db: float
    confidence: float
    text: str  # empty if the model says that it is quiet
    true: bool = False  # a clause of it names the event


@dataclass(frozen=True)
class Stretch:
    """A background by itself, from the start of a run on."""

    kind: str
    label: str
    windows: list[Window]


@dataclass(frozen=True)
class Chance:
    """An event in a background that has long gone on: the windows since it began."""

    kind: str  # of the background
    label: str  # of the event
    over_db: float  # the background
    windows: list[Window]


def stretch(captioner: Captioner, ground: Ground) -> Stretch:
    """All windows of `ground`."""
    return Stretch(ground.kind, ground.label, list(_windows(captioner, ground.audio)))


def chance(
    captioner: Captioner,
    ground: Ground,
    clip: Clip,
    audio: Floats,
    reader: Reader,
    rng: np.random.Generator,
) -> Chance:
    """What is heard of `clip`, whose audio at `RATE` is `audio`, somewhere in `ground`."""
    longest = round(LONGEST_S * RATE)
    start = int(rng.integers(max(1, len(audio) - longest + 1)))
    spec = RoomSpec()
    event, _ = placed_in_room(rng, audio[start : start + longest], spec, draw_room(rng, spec))
    own_db = float(rng.uniform(*EVENT_DB))
    over_db = float(rng.uniform(*OVER_DB))
    if ground.kind not in NEVER:
        own_db = min(EVENT_DB[1], loud_parts_db(ground.audio) + over_db)
    over_db = own_db - loud_parts_db(ground.audio)
    spare_s = GROUND_S - BEFORE_S - LONGEST_S - WINDOW.window_s
    begin_s = BEFORE_S + float(rng.uniform(0.0, spare_s))
    end_s = begin_s + len(event) / RATE
    mixture = ground.audio[: round((end_s + WINDOW.window_s) * RATE)].copy()
    mixture[round(begin_s * RATE) :][: len(event)] += at_level(event, own_db)
    mixture = np.clip(mixture, -1.0, 1.0)
    its = []
    for window in _windows(captioner, mixture, begin_s):
        true = any(clip.label in clause.labels for clause in read(reader, window.text))
        its.append(replace(window, true=true))
    return Chance(ground.kind, clip.label, over_db, its)


def _windows(captioner: Captioner, audio: Floats, after_s: float = 0.0) -> Iterator[Window]:
    """The windows of the loop that ships that end after `after_s`, each captioned."""
    features = captioner.bundle.features
    heard = soxr.resample(audio, RATE, features.sample_rate, "MQ").astype(np.float32)
    frames, gate = LogMel(features)(heard), ActivityGate(features)
    gate.push(frames)
    a_second = features.sample_rate / features.hop
    length, hop = round(WINDOW.window_s * a_second), round(WINDOW.hop_s * a_second)
    for end in range(length, len(frames) + 1, hop):
        if end / a_second <= after_s:
            continue
        window = frames[end - length : end]
        said = captioner.describe(window)
        yield Window(
            end_s=end / a_second,
            level_db=loud_db(level_db(window, features)),
            novelty_db=gate.novelty_db(end - length, end),
            confidence=said.confidence,
            text="" if said.quiet else said.text,
        )
