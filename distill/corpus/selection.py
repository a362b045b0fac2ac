"""Which clips stay: no label too large, no source above a third of a label, nothing too short."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from distill.corpus.clip_files import Piece
from distill.corpus.sources import WHOLE, Recording
from distill.corpus.tables import BANK

MOST = 600  # Clips of a label to train on and validate with.
HELD_BACK_MOST = 50  # Clips of a label in dev, and in test.
# A source that stands almost alone keeps this many clips, even if the others have few: without
# them the label would be thin.
LEAST = 60
BANK_MOST = 40  # Clips of a label from the bank of instruments, whose notes are all alike.
VAL_SHARE = 0.07  # Of the recordings that may be trained on.
# A label is thin if both hold; it is then kept for the wording of its group alone.
THIN_CLIPS, THIN_SOURCES = 12, 3
AMBIENCE_S = 0.5  # A shorter sound alone is no ambience.
STROKE_S = 1.0  # Up to this length a clip of a sound that comes in series is a single stroke.


@dataclass(frozen=True)
class Candidate:
    """A clip that passed the checks by itself."""

    recording: Recording
    piece: Piece

    @property
    def start_s(self) -> float:
        """Where the clip starts in the file of its source."""
        return round(self.recording.start_s + self.piece.start_s, 3)


def split_of(recording: Recording) -> str:
    """The split of a recording; all of its excerpts share it, and so does each build."""
    if recording.split:
        return recording.split
    key = f"{recording.source}/{recording.source_path}/{recording.number}"
    value = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 16**8
    return "val" if value < VAL_SHARE else "train"


def with_splits(candidates: Sequence[Candidate]) -> list[Candidate]:
    return [replace(c, recording=replace(c.recording, split=split_of(c.recording)))
            for c in candidates]  # fmt: skip


def capped(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Keep at most `MOST` clips of each label, fairly from its sources and recordings."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, c in enumerate(candidates):
        held_back = c.recording.split if c.recording.split in WHOLE else ""
        groups[c.recording.label, held_back].append(i)
    kept: list[int] = []
    for (_, held_back), members in groups.items():
        most = HELD_BACK_MOST if held_back else MOST
        by_source: dict[str, list[int]] = defaultdict(list)
        for i in members:
            by_source[candidates[i].recording.source].append(i)
        limits = source_limits({source: len(own) for source, own in by_source.items()})
        queues = [_fair(candidates, own)[: limits[source]] if not held_back else
                  _fair(candidates, own) for source, own in sorted(by_source.items())]  # fmt: skip
        turn = sorted((n, k) for k, queue in enumerate(queues) for n in range(len(queue)))
        kept += [queues[k][n] for n, k in turn[:most]]
    return [candidates[i] for i in sorted(kept)]


def source_limits(counts: dict[str, int]) -> dict[str, int]:
    """Return how many of its clips of a label each source may give.

    With three sources or more none gives above a third of the label, with two none above half:
    unless that would leave it fewer than `LEAST` clips.
    """
    limits = dict(counts)
    if BANK in limits:
        limits[BANK] = min(limits[BANK], BANK_MOST)
    if len(limits) < 2:
        return limits
    parts = 2 if len(limits) > 2 else 1  # The others together, in parts of the largest source.
    for source in sorted(limits, key=lambda s: -limits[s]):
        rest = sum(count for other, count in limits.items() if other != source)
        least = BANK_MOST if source == BANK else LEAST
        limits[source] = min(limits[source], max(rest // parts, least))
    return limits


def too_short(candidate: Candidate, kind: str) -> bool:
    """Return True for a sound that is too short to stand alone under a label of `kind`."""
    return kind == "ambience" and candidate.piece.duration_s < AMBIENCE_S


def thin_labels(candidates: Sequence[Candidate]) -> frozenset[str]:
    """Return the labels with too few clips and sources to train on to be told by name."""
    clips: Counter[str] = Counter()
    sources: dict[str, set[str]] = defaultdict(set)
    for c in candidates:
        if c.recording.split not in WHOLE:
            clips[c.recording.label] += 1
            sources[c.recording.label].add(c.recording.source)
    labels = {c.recording.label for c in candidates}
    return frozenset(
        label for label in labels
        if clips[label] < THIN_CLIPS and len(sources[label]) < THIN_SOURCES
    )  # fmt: skip


def _fair(candidates: Sequence[Candidate], members: Sequence[int]) -> list[int]:
    """`members` so that the first excerpts of all recordings come before the second ones."""
    seen: dict[tuple[str, int], int] = defaultdict(int)
    order = []
    for i in members:
        recording = candidates[i].recording
        key = recording.source_path, recording.number
        order.append((seen[key], hashlib.sha256(candidates[i].piece.id.encode()).hexdigest(), i))
        seen[key] += 1
    return [i for _, _, i in sorted(order)]
