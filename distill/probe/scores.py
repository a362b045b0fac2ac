"""What a probe got right: top-1, top-3, groups, and whether its confidence can be believed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distill.corpus.ontology import Ontology
from distill.evaluation.metrics import wilson
from distill.probe.classifier import Probe
from distill.probe.clips import ProbeClip
from distill.probe.embeddings import Windows
from edge.inference.features import Floats

BINS = 10  # of confidence, of equal width
SURE = 0.5  # confidence above which a guess counts as sure

Ids = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Guesses:
    """What a probe says of each window that is heard; arrays have one entry for each window."""

    clip: Ids  # place of the window's clip in the list of clips
    labelled: Flags  # False where the clip's group is known and its label is not
    confidence: Floats  # probability of the likeliest label
    top1: Flags  # the likeliest label is the clip's
    top3: Flags  # one of the three likeliest labels is the clip's
    named: Flags  # the likeliest label is the clip's, or the likeliest group is


@dataclass(frozen=True)
class Share:
    """A share of windows. The interval counts clips, as windows of one clip are not independent."""

    share: float
    low: float  # 95 % interval (Wilson)
    high: float


@dataclass(frozen=True)
class Score:
    """How often the guesses of some windows are right."""

    clips: int
    windows: int
    top1: Share  # of the windows whose label is known, as top3
    top3: Share
    named: Share


@dataclass(frozen=True)
class Bin:
    """Windows whose confidence lies in one range."""

    low: float
    high: float
    windows: int
    confidence: float  # mean
    right: float  # share


@dataclass(frozen=True)
class Reliability:
    """Whether the probe is right as often as it says."""

    bins: list[Bin]  # those that hold windows
    error: float  # expected calibration error
    sure: float  # share of windows above `SURE`
    sure_right: float  # share of those that are right
    sure_named: float  # share of those whose label or group is right


def guess(
    probe: Probe, windows: Windows, clips: Sequence[ProbeClip], ontology: Ontology
) -> Guesses:
    """Return what `probe` says of the windows of `clips` that are heard.

    A clip whose label the probe never saw is always wrong, but its group may be named. The
    probability of a group is the sum over its labels. A clip that is labelled with a group is
    named if the guess is in that group or in one below it.
    """
    group_of = {label: ontology.group_of.get(label, label) for label in probe.labels}
    groups = sorted(set(group_of.values()))
    member = np.array([[group_of[label] == group for group in groups] for label in probe.labels])
    ids = windows.clip[windows.heard]
    probability = probe.probabilities(windows.embedding[windows.heard])
    best_group = (probability @ member.astype(np.float32)).argmax(1)
    place = {label: i for i, label in enumerate(probe.labels)}
    truth = np.array([place.get(clips[i].label, -1) for i in ids])
    order = np.argsort(-probability, axis=1, kind="stable")[:, :3]
    top1 = order[:, 0] == truth
    named = [_holds(clips[i], groups[k], ontology) for i, k in zip(ids, best_group, strict=True)]
    return Guesses(
        ids,
        np.array([not clips[i].group_only for i in ids]),
        probability.max(1),
        top1,
        (order == truth[:, None]).any(1),
        top1 | np.array(named),
    )


def _holds(clip: ProbeClip, group: str, ontology: Ontology) -> bool:
    """Return True if `group` is true of the clip, as far as its label says."""
    below = clip.group_only and group in ontology.groups and clip.group in ontology.above(group)
    return group == clip.group or below


def score(guesses: Guesses, chosen: Iterable[int]) -> Score:
    """Return the score of the windows of the clips at the places `chosen`."""
    pick = np.isin(guesses.clip, [*chosen])
    labelled = pick & guesses.labelled

    def share(right: Flags, of: Flags) -> Share:
        clips = len(np.unique(guesses.clip[of]))
        value = float(right[of].mean()) if clips else 0.0
        return Share(value, *wilson(round(value * clips), clips))

    return Score(
        len(np.unique(guesses.clip[pick])),
        int(pick.sum()),
        share(guesses.top1, labelled),
        share(guesses.top3, labelled),
        share(guesses.named, pick),
    )


def reliability(guesses: Guesses, chosen: Iterable[int]) -> Reliability:
    """Return how far the confidence in windows of the clips `chosen` can be believed.

    Windows whose label is not known do not count.
    """
    pick = np.isin(guesses.clip, [*chosen]) & guesses.labelled
    confidence, right, named = (
        guesses.confidence[pick], guesses.top1[pick], guesses.named[pick]
    )  # fmt: skip
    which = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = []
    for i in range(BINS):
        own = which == i
        if own.any():
            bins.append(
                Bin(i / BINS, (i + 1) / BINS, int(own.sum()), float(confidence[own].mean()),
                    float(right[own].mean()))
            )  # fmt: skip
    total = max(1, int(pick.sum()))
    sure = confidence > SURE
    return Reliability(
        bins,
        sum(b.windows * abs(b.confidence - b.right) for b in bins) / total,
        float(sure.sum()) / total,
        float(right[sure].mean()) if sure.any() else 0.0,
        float(named[sure].mean()) if sure.any() else 0.0,
    )
