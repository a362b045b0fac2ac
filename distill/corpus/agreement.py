"""What the teacher hears in each clip, and how often that is compatible with the clip's label."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from distill.corpus.clip_files import clip_path
from distill.corpus.cutting import RATE
from distill.corpus.selection import Candidate
from distill.corpus.tables import Recipe
from distill.teachers.tagger import Tagger
from edge.audio.clip import read_clip
from edge.inference.features import Floats

FIRST = 5  # tags that count
BATCH = 8
WINDOW_S = 10.0  # the teacher's own
PAUSE_S = 0.5  # between the repeats of a short clip
ENOUGH = 0.5  # a label with less agreement is looked at


@dataclass(frozen=True)
class Agreement:
    """How the teacher takes the clips of one label."""

    clips: int
    agreeing: int
    heard: tuple[str, ...]  # first tags, the most frequent first

    @property
    def share(self) -> float:
        return self.agreeing / self.clips if self.clips else 0.0


def tag(
    clips: list[Candidate],
    out: Path,
    tagger: Tagger,
    classes: list[str],
    progress: Callable[[int], object],
) -> dict[str, list[str]]:
    """The teacher's first `FIRST` tags of each clip, by id; what an earlier run tagged is kept."""
    store = out / "work" / "tags.json"
    known: dict[str, list[str]] = {}
    if store.is_file():
        known = json.loads(store.read_text(encoding="utf-8"))
    todo = [c.piece for c in clips if c.piece.id not in known]
    progress(len(clips) - len(todo))
    for start in range(0, len(todo), BATCH):
        batch = todo[start : start + BATCH]
        audio = np.stack([_window(read_clip(clip_path(out, piece), RATE)) for piece in batch])
        with torch.inference_mode():
            logits = tagger(torch.from_numpy(audio))[1]
        for piece, row in zip(batch, logits.topk(FIRST).indices.tolist(), strict=True):
            known[piece.id] = [classes[i] for i in row]
        progress(len(batch))
        if start // BATCH % 50 == 49 or start + BATCH >= len(todo):
            part = store.with_suffix(".part")
            part.write_text(json.dumps(known), encoding="utf-8")
            part.replace(store)
    return {c.piece.id: known[c.piece.id] for c in clips}


def agreement(
    clips: list[Candidate], tags: dict[str, list[str]], recipe: Recipe
) -> dict[str, Agreement]:
    """For each label that has clips, how often a compatible class is among their first tags."""
    by_label: dict[str, list[list[str]]] = defaultdict(list)
    for clip in clips:
        by_label[clip.recording.label].append(tags[clip.piece.id])
    result = {}
    for label, heard in sorted(by_label.items()):
        compatible = recipe.audioset_of(label)
        firsts = [names[0] for names in heard]
        common = sorted(set(firsts), key=lambda name: (-firsts.count(name), name))
        agreeing = sum(bool(compatible & set(names)) for names in heard)
        result[label] = Agreement(len(heard), agreeing, tuple(common[:3]))
    return result


def _window(audio: Floats) -> Floats:
    """10 s that hold `audio`: a short clip is heard again after pauses, as it often is in life."""
    size = int(WINDOW_S * RATE)
    if len(audio) >= size:
        return audio[:size]
    period = np.concatenate([audio, np.zeros(int(PAUSE_S * RATE), np.float32)])
    return np.resize(period, size)
