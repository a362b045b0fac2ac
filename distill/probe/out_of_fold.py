"""What a probe says of clips that it was not trained on, for every training clip."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from distill.probe.classifier import ProbeConfig
from distill.probe.clips import ProbeClip
from distill.probe.run import Data, train_on
from edge.inference.features import Floats

FOLDS = 5
SPLITS = ("train", "val")  # Test and dev sources are never judged by a model.


def folds(clips: Sequence[ProbeClip], count: int = FOLDS) -> NDArray[np.int64]:
    """Return the fold of each clip.

    Clips of one family (recordings whose names differ in digits only) share a fold, so that takes
    of one session do not confirm each other's label. Where a label has fewer families than folds,
    the recording decides instead. All excerpts of a recording always share a fold.
    """
    families = defaultdict(set)
    for clip in clips:
        families[clip.label].add(clip.family)
    divided = {clip.family for clip in clips if len(families[clip.label]) < count}
    names = [clip.recording if clip.family in divided else clip.family for clip in clips]
    # Deal the names out in the order of their hash: as even as can be, and the same every time.
    order = sorted(set(names), key=lambda name: (zlib.crc32(name.encode()), name))
    place = {name: i % count for i, name in enumerate(order)}
    return np.array([place[name] for name in names])


def out_of_fold(
    data: Data, config: ProbeConfig | None = None
) -> tuple[list[int], list[str], Floats]:
    """Return what probes say of the clips that they were not trained on.

    Returns
    -------
    judged
        Places of the clips of `train` and `val` that are labelled with more than a group.
    labels
        Names of the columns.
    probabilities
        (judged clips, labels): mean over the windows of the clip that are heard.
    """
    judged = [
        i for i, clip in enumerate(data.clips) if clip.split in SPLITS and not clip.group_only
    ]
    fold = folds([data.clips[i] for i in judged])
    labels = sorted({data.clips[i].label for i in judged})
    column = {label: k for k, label in enumerate(labels)}
    row = {i: k for k, i in enumerate(judged)}
    result = np.zeros((len(judged), len(labels)), np.float32)
    windows = data.windows
    for number in range(FOLDS):
        inside = [i for i, own in zip(judged, fold, strict=True) if own != number]
        outside = [i for i, own in zip(judged, fold, strict=True) if own == number]
        if not inside or not outside:
            continue
        probe = train_on(data, inside, config)
        pick = windows.heard & np.isin(windows.clip, outside)
        own = probe.probabilities(windows.embedding[pick])
        rows = np.array([row[i] for i in windows.clip[pick]])
        into = np.zeros((len(rows), len(labels)), np.float32)
        into[:, [column[label] for label in probe.labels]] = own
        np.add.at(result, rows, into)
    return judged, labels, result / result.sum(1, keepdims=True).clip(1e-9)
