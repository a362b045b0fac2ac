"""Which clips stay: no near-duplicates, no label too large, no source above half of a label."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, replace

from distill.corpus.clip_files import Piece
from distill.corpus.sources import Recording

MOST = 250  # clips of a label
TEST_MOST = 50  # of them in test
# A source that stands almost alone is not cut down to the few clips of another.
LEAST = 60
VAL_SHARE = 0.1  # of the recordings that may be trained on


@dataclass(frozen=True)
class Candidate:
    """A clip that passed the checks by itself."""

    recording: Recording
    piece: Piece


def split_of(recording: Recording) -> str:
    """The split of a recording; all of its excerpts share it, and so does each build."""
    if recording.split:
        return recording.split
    key = f"{recording.source}/{recording.source_path}/{recording.number}"
    value = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 16**8
    return "val" if value < VAL_SHARE else "train"


def with_splits(candidates: list[Candidate]) -> list[Candidate]:
    return [replace(c, recording=replace(c.recording, split=split_of(c.recording)))
            for c in candidates]  # fmt: skip


def without_duplicates(
    candidates: list[Candidate], pairs: list[tuple[int, int]]
) -> tuple[list[Candidate], list[tuple[Candidate, Candidate]]]:
    """The candidates that stay, and each one that goes with the one that it repeats.

    Of a group of duplicates a test clip stays before others, so that none of it is trained on;
    else the longest. Two labels for the same sound cannot both be right: then all of them go.
    """
    group = list(range(len(candidates)))

    def root(i: int) -> int:
        while group[i] != i:
            group[i] = group[group[i]]
            i = group[i]
        return i

    for i, j in pairs:
        group[root(i)] = root(j)
    members: dict[int, list[int]] = defaultdict(list)
    for i in range(len(candidates)):
        members[root(i)].append(i)
    kept, gone = [], []
    for same in members.values():
        best = max(same, key=lambda i: (candidates[i].recording.split == "test",
                                        candidates[i].piece.duration_s, -i))  # fmt: skip
        agree = len({candidates[i].recording.label for i in same}) == 1
        kept += [best] if agree else []
        gone += [(i, best) for i in same if i != best or not agree]
    return (
        [candidates[i] for i in sorted(kept)],
        [(candidates[i], candidates[j]) for i, j in sorted(gone)],
    )


def capped(candidates: list[Candidate]) -> list[Candidate]:
    """At most `MOST` clips of each label, fairly from its sources and recordings."""
    groups: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for i, c in enumerate(candidates):
        groups[c.recording.label, c.recording.split == "test"].append(i)
    tests = Counter(c.recording.label for c in candidates if c.recording.split == "test")
    kept: list[int] = []
    for (label, test), members in groups.items():
        by_source: dict[str, list[int]] = defaultdict(list)
        for i in members:
            by_source[candidates[i].recording.source].append(i)
        most = TEST_MOST if test else MOST - min(TEST_MOST, tests[label])
        for source, own in by_source.items():
            rest = len(members) - len(own)
            limit = max(rest, LEAST) if len(by_source) > 1 else most
            by_source[source] = _fair(candidates, own)[:limit]
        queues = [q for _, q in sorted(by_source.items())]
        turn = sorted((n, k) for k, queue in enumerate(queues) for n in range(len(queue)))
        kept += [queues[k][n] for n, k in turn[:most]]
    return [candidates[i] for i in sorted(kept)]


def _fair(candidates: list[Candidate], members: list[int]) -> list[int]:
    """`members` so that the first excerpts of all recordings come before the second ones."""
    seen: dict[tuple[str, int], int] = defaultdict(int)
    order = []
    for i in members:
        recording = candidates[i].recording
        key = recording.source_path, recording.number
        order.append((seen[key], hashlib.sha256(candidates[i].piece.id.encode()).hexdigest(), i))
        seen[key] += 1
    return [i for _, _, i in sorted(order)]
