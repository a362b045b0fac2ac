"""What a probe got right: top-1, top-3, groups, and whether its confidence can be believed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distill.evaluation.metrics import wilson
from distill.probe.classifier import Probe
from distill.probe.clips import ProbeClip
from distill.probe.embeddings import Windows
from edge.features import Floats

BINS = 10  # of confidence, of equal width
SURE = 0.5  # confidence above which a guess counts as sure

Ids = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Guesses:
    """What a probe says of each window that is heard; arrays have one entry for each window."""

    clip: Ids  # place of the window's clip in the list of clips
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
    top1: Share
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


def guess(probe: Probe, windows: Windows, clips: Sequence[ProbeClip]) -> Guesses:
    """Return what `probe` says of the windows of `clips` that are heard.

    A clip whose label the probe never saw is always wrong, but its group may be named. The
    probability of a group is the sum over its labels.
    """
    group_of: dict[str, str] = {clip.label: clip.group for clip in clips}
    groups = sorted({group_of.get(label, label) for label in probe.labels})
    place = {group: i for i, group in enumerate(groups)}
    member = np.zeros((len(probe.labels), len(groups)), np.float32)
    for i, label in enumerate(probe.labels):
        member[i, place[group_of.get(label, label)]] = 1.0
    ids = windows.clip[windows.heard]
    probability = probe.probabilities(windows.embedding[windows.heard])
    label_place = {label: i for i, label in enumerate(probe.labels)}
    truth = np.array([label_place.get(clips[i].label, -1) for i in ids])
    truth_group = np.array([place.get(clips[i].group, -1) for i in ids])
    order = np.argsort(-probability, axis=1, kind="stable")[:, :3]
    best_group = (probability @ member).argmax(1)
    top1 = order[:, 0] == truth
    return Guesses(
        ids,
        probability.max(1),
        top1,
        (order == truth[:, None]).any(1),
        top1 | (best_group == truth_group),
    )


def score(guesses: Guesses, chosen: Iterable[int]) -> Score:
    """Return the score of the windows of the clips at the places `chosen`."""
    pick = np.isin(guesses.clip, [*chosen])
    clips = len(np.unique(guesses.clip[pick]))

    def share(right: Flags) -> Share:
        value = float(right[pick].mean()) if clips else 0.0
        return Share(value, *wilson(round(value * clips), clips))

    return Score(
        clips, int(pick.sum()), share(guesses.top1), share(guesses.top3), share(guesses.named)
    )


def reliability(guesses: Guesses, chosen: Iterable[int]) -> Reliability:
    """Return how far the confidence of the windows of the clips `chosen` can be believed."""
    pick = np.isin(guesses.clip, [*chosen])
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
