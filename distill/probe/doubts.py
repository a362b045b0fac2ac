"""Clips whose label is doubtful: confident learning, the tagger's opinion, and a stated rule.

Northcutt, Jiang, Chuang, *Confident Learning: Estimating Uncertainty in Dataset Labels*, 2021.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from distill.corpus.sources import OWN
from distill.corpus.tables import BANK, Recipe
from distill.probe.classifier import ProbeConfig
from distill.probe.clips import ProbeClip
from distill.probe.out_of_fold import out_of_fold
from distill.probe.run import Data
from edge.inference.features import Floats

FIRST = 10  # classes of the tagger that count
# The rule. A doubtful clip is dropped only if the probe gives its label less than LEAST_LABEL and
# its group less than LEAST_GROUP, and none of the tagger's first ten classes agrees with either.
LEAST_LABEL = 0.05
LEAST_GROUP = 0.15
# It gets the probe's label instead if the clip lasts RELABEL_S or more, the probe gives that label
# RELABEL or more, and one of the tagger's first RELABEL_FIRST classes agrees with it. Short sounds
# deceive: some people laugh like a goat.
RELABEL_S = 5.0
RELABEL = 0.8
RELABEL_FIRST = 2
# If that decides about more than this share of a label's clips, the models do not know the label:
# then all of its clips stay.
MOST_OF_LABEL = 0.5

# Sources that the build renders, or whose labels people gave by listening or by recording the
# thing itself: a model does not know better.
TRUSTED = frozenset(
    {
        OWN,
        BANK,
        "ESC-10",
        "marc-moreaux/kitchen20",
        "gveres/donateacry-corpus",
        "Jakobovski/free-spoken-digit-dataset",
        "sfzinstruments/body_percussion",
        "sfzinstruments/DrumGizmo.MuldjordKit",
    }
)


@dataclass(frozen=True)
class Doubt:
    """A clip that confident learning takes for mislabelled."""

    clip: ProbeClip
    label_p: float  # what probes that were not trained on the clip give its label
    group_p: float  # ... and its group
    guesses: tuple[tuple[str, float], ...]  # their three likeliest labels
    tags: tuple[str, ...]  # first classes of the tagger, the likeliest first
    compatible: bool  # One of them agrees with the label or its group.
    decision: str = "keep"  # or "drop" or "relabel"
    new_label: str = ""


def find_doubts(
    data: Data,
    logits: Floats,
    classes: list[str],
    audioset: Mapping[str, tuple[str, ...]],
    trusted: frozenset[str],
    config: ProbeConfig | None = None,
) -> list[Doubt]:
    """Return the doubtful clips of `train` and `val`, the most doubtful of each label first.

    Parameters
    ----------
    logits
        (windows, classes) of the tagger, for the windows of `data`.
    audioset
        From label to the classes that agree with it.
    trusted
        Sources and labels that are always kept.
    """
    from cleanlab.filter import find_label_issues

    judged, labels, probability = out_of_fold(data, config)
    column = {label: k for k, label in enumerate(labels)}
    group_of = {clip.label: clip.group for clip in data.clips if not clip.group_only}
    given = np.array([column[data.clips[i].label] for i in judged])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that rare labels may hide more mistakes
        flagged = find_label_issues(
            given,
            probability,
            filter_by="confident_learning",
            return_indices_ranked_by="self_confidence",
            n_jobs=1,
        )
    tags = _tags(data, logits, classes)
    doubts = []
    for k in flagged:
        clip = data.clips[judged[k]]
        group_p = float(sum(p for p, label in zip(probability[k], labels, strict=True)
                            if group_of[label] == clip.group))  # fmt: skip
        best = [(labels[j], float(probability[k, j])) for j in np.argsort(-probability[k])[:3]]
        own = tags[judged[k]]
        agreeing = {name for label, names in audioset.items()
                    if group_of.get(label) == clip.group for name in names}  # fmt: skip
        agreeing |= {clip.label, *audioset.get(clip.label, ())}
        compatible = not agreeing.isdisjoint(own)
        label_p = float(probability[k, given[k]])
        doubt = Doubt(clip, label_p, group_p, tuple(best), own, compatible)
        decision, new_label = decide(doubt, audioset, trusted)
        doubts.append(replace(doubt, decision=decision, new_label=new_label))
    count = Counter(data.clips[i].label for i in judged)
    decided = Counter(doubt.clip.label for doubt in doubts if doubt.decision != "keep")
    unknown = {label for label in decided if decided[label] > MOST_OF_LABEL * count[label]}
    doubts = [
        replace(doubt, decision="keep", new_label="") if doubt.clip.label in unknown else doubt
        for doubt in doubts
    ]
    return sorted(doubts, key=lambda doubt: (doubt.clip.label, doubt.label_p))


def trusted(recipe: Recipe) -> frozenset[str]:
    """Return the sources and labels that no model may judge: `TRUSTED` and looked-at labels."""
    return TRUSTED | {label.name for label in recipe.labels.values() if label.decision}


def decide(
    doubt: Doubt, audioset: Mapping[str, tuple[str, ...]], trusted: frozenset[str]
) -> tuple[str, str]:
    """Return the decision of the rule, and the new label of a clip that is relabelled."""
    label, (best, share) = doubt.clip.label, doubt.guesses[0]
    if doubt.compatible or doubt.label_p >= LEAST_LABEL or doubt.group_p >= LEAST_GROUP:
        return "keep", ""
    if not audioset.get(label) or {doubt.clip.source, label} & trusted:
        return "keep", ""
    heard = {best, *audioset.get(best, ())}
    agreed = share >= RELABEL and not heard.isdisjoint(doubt.tags[:RELABEL_FIRST])
    if agreed and doubt.clip.duration_s >= RELABEL_S:
        return "relabel", best
    return "drop", ""


def _tags(data: Data, logits: Floats, classes: list[str]) -> list[tuple[str, ...]]:
    """Return the first classes of each clip: the highest logit of its windows decides.

    The windows in which a short clip is repeated count as well: the tagger often knows a series of
    steps, and not a single one.
    """
    highest: NDArray[np.float32] = np.full((len(data.clips), len(classes)), -np.inf, np.float32)
    np.maximum.at(highest, data.windows.clip, logits)
    first = np.argsort(-highest, axis=1)[:, :FIRST]
    return [tuple(classes[j] for j in row) for row in first]
