"""One page of plots of a build: clips by group and label, durations, agreement with the teacher."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import matplotlib

from distill.corpus.agreement import ENOUGH
from distill.corpus.build import Built

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

COLOURS = {"train": "#4477aa", "val": "#66ccee", "dev": "#ccbb44", "test": "#ee6677"}


def plot(built: Built, path: Path) -> None:
    """Write the page to `path` (PNG)."""
    fig = plt.figure(figsize=(14, 10), layout="constrained")
    grid = fig.add_gridspec(3, 2, width_ratios=[3, 2])
    _groups(fig.add_subplot(grid[:, 0]), built)
    _labels(fig.add_subplot(grid[0, 1]), built)
    times = fig.add_subplot(grid[1, 1])
    times.hist([c.piece.duration_s for c in built.clips], bins=50, color=COLOURS["train"])
    times.set(xlabel="duration, s", ylabel="clips", title="Durations")
    _agreement(fig.add_subplot(grid[2, 1]), built)
    fig.savefig(path, dpi=90)
    plt.close(fig)


def _groups(axes: Axes, built: Built) -> None:
    """Bars: the clips of each group in each split."""
    counts: dict[str, Counter[str]] = {split: Counter() for split in COLOURS}
    for clip in built.clips:
        label = clip.recording.label
        counts[clip.recording.split][built.recipe.group_of(label) or label] += 1
    total: Counter[str] = sum(counts.values(), Counter())
    groups = [group for group, _ in sorted(total.items(), key=lambda item: (item[1], item[0]))]
    left = [0] * len(groups)
    for split, colour in COLOURS.items():
        own = [counts[split][group] for group in groups]
        axes.barh(groups, own, left=left, color=colour, label=split)
        left = [a + b for a, b in zip(left, own, strict=True)]
    axes.set(xlabel="clips", title="Clips of each group")
    axes.margins(y=0.01)
    axes.legend(loc="lower right")


def _labels(axes: Axes, built: Built) -> None:
    """Curves: how many labels have how many clips, the largest first."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for clip in built.clips:
        counts[clip.recording.split][clip.recording.label] += 1
    for split, colour in COLOURS.items():
        ranked = sorted(counts[split].values(), reverse=True)
        axes.plot(range(1, len(ranked) + 1), ranked, color=colour, label=split)
    axes.set(yscale="log", xlabel="labels", ylabel="clips or more", title="Clips of each label")
    axes.legend()


def _agreement(axes: Axes, built: Built) -> None:
    """Bars: the labels by the share of their clips that the teacher calls something compatible."""
    shares = [heard.share for heard in built.agreement.values()]
    axes.hist(shares, bins=20, range=(0, 1), color="#228833")
    axes.axvline(ENOUGH, color="black", linewidth=0.8)
    axes.set(
        xlabel="share of clips with a compatible class among the teacher's first five",
        ylabel="labels",
        title="Agreement with the teacher",
    )
