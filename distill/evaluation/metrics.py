"""What a set of captions got right: pure functions, for `evaluate` and its tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from distill.captions.caption_parser import Named
from distill.captions.writer import SEQUENCE

Z_95 = 1.96  # standard deviations to each side that hold 95 % of a normal distribution


def wilson(hits: int, total: int) -> tuple[float, float]:
    """95 % confidence interval of a share; of nothing, all from 0 to 1.

    E. B. Wilson, *Probable inference, the law of succession, and statistical inference*, 1927:
    unlike the normal approximation, it stays within 0 and 1, and is no point where all are hits.
    """
    if total == 0:
        return 0.0, 1.0
    share, z2 = hits / total, Z_95 * Z_95
    centre = share + z2 / (2 * total)
    spread = Z_95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    scale = 1 + z2 / total
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def bootstrap(values: Sequence[float], seed: int = 0, repeats: int = 1000) -> tuple[float, float]:
    """95 % interval of the mean of `values`, the same for the same seed.

    B. Efron, *Bootstrap methods: another look at the jackknife*, 1979: percentiles of the means of
    samples that are drawn from the values, with replacement, as many as there are.

    Raises: ValueError if there are no values.
    """
    if not len(values):
        raise ValueError("no values, so no mean")
    rng = np.random.default_rng(seed)
    drawn_from = np.asarray(values, np.float64)
    # One sample at a time: all at once would need as much memory as repeats times values.
    means = [rng.choice(drawn_from, len(drawn_from)).mean() for _ in range(repeats)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


@dataclass(frozen=True)
class Heard:
    """What a caption says, held against what is true."""

    hits: int  # events of the truth that it names
    misses: int  # events of the truth that it does not
    extras: int  # clauses that name nothing true


def match_events(truth_labels: Sequence[str], named: Sequence[frozenset[str]]) -> Heard:
    """How many of `truth_labels` a caption names, one clause each at most, in whatever order.

    Args: `named`, what each clause may mean; nothing for unknown words.

    A clause may mean several labels (that sound alike), so as many pairs are made as can be: "rain
    falls" must not use up the label that another clause needs. To repeat what is true is no extra.
    """
    hits = _pairs(truth_labels, named)
    extras = sum(labels.isdisjoint(truth_labels) for labels in named)
    return Heard(hits, len(truth_labels) - hits, extras)


def order_holds(first_to_last: Sequence[str], clauses: Sequence[Named]) -> bool | None:
    """Whether a caption says the order of sounds that follow one another.

    Args: `first_to_last`, the labels of a scene in which each begins when the one before has ended;
    `clauses`, of its caption.

    Returns: None, not to be counted, if fewer than two of the labels are named; False if those are
    named in another order, or at once ("while"); else True. Clauses that name none of them are
    passed over, and one may be repeated before the next.
    """
    if _pairs(first_to_last, [clause.labels for clause in clauses]) < 2:
        return None
    places: list[list[int]] = []  # for each clause, the sounds that it may mean
    steps: list[int] = []  # and how many words of sequence stand before it
    step = 0
    for clause in clauses:
        step += clause.link in SEQUENCE
        if meant := [i for i, label in enumerate(first_to_last) if label in clause.labels]:
            places.append(meant)
            steps.append(step)
    return any(_in_order(reading, steps) for reading in product(*places))


def _in_order(reading: Sequence[int], steps: Sequence[int]) -> bool:
    """Whether every new sound of `reading` is a later one and comes a step after the one before."""
    turns = [
        sound < later and step < next_step
        for (sound, later), (step, next_step) in zip(
            pairwise(reading), pairwise(steps), strict=True
        )
        if sound != later
    ]
    return bool(turns) and all(turns)


def _pairs(labels: Sequence[str], named: Sequence[frozenset[str]]) -> int:
    """Pairs in a maximum matching of clauses and labels, by augmenting paths (H. W. Kuhn, 1955)."""
    clause_of: dict[int, int] = {}  # by the place of its label

    def pair(clause: int, tried: set[int]) -> bool:
        for place, label in enumerate(labels):
            if label not in named[clause] or place in tried:
                continue
            tried.add(place)
            # Free, or its clause can mean another label.
            if place not in clause_of or pair(clause_of[place], tried):
                clause_of[place] = clause
                return True
        return False

    return sum(pair(clause, set()) for clause in range(len(named)))
