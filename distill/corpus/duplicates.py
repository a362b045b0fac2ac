"""Which clips of a group of near-duplicates stay, so that no recording is in two splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from distill.corpus.selection import Candidate

# A clip of a later split wins over its copies in an earlier one: held-back sources stay whole.
RANK = {"": 0, "train": 0, "val": 1, "dev": 2, "test": 3}


def without_duplicates(
    candidates: Sequence[Candidate],
    pairs: Sequence[tuple[int, int]],
    alike: Callable[[str, str], bool] = str.__eq__,
) -> tuple[list[Candidate], list[tuple[Candidate, Candidate]]]:
    """Keep one clip of each group of near-duplicates.

    The clip of the highest split stays (test, dev, val, train), among those the longest. If the
    labels of a group contradict each other, at least one of them is wrong: then all clips go.

    Parameters
    ----------
    candidates : sequence of Candidate
    pairs : sequence of (int, int)
        Indices of clips that hold the same recording.
    alike : callable
        Whether two labels may be said of the same sound.

    Returns
    -------
    kept : list of Candidate
    gone : list of (Candidate, Candidate)
        Each clip that goes, and the one that it repeats.
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
        best = max(same, key=lambda i: (RANK[candidates[i].recording.split],
                                        candidates[i].piece.duration_s, -i))  # fmt: skip
        labels = {candidates[i].recording.label for i in same}
        agree = all(alike(candidates[best].recording.label, label) for label in labels)
        kept += [best] if agree else []
        gone += [(i, best) for i in same if i != best or not agree]
    return (
        [candidates[i] for i in sorted(kept)],
        [(candidates[i], candidates[j]) for i, j in sorted(gone)],
    )
