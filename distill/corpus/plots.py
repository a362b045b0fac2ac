"""One page of plots of a build: clips of each label, durations, agreement with the teacher."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import matplotlib

from distill.corpus.agreement import ENOUGH
from distill.corpus.build import Built

matplotlib.use("Agg")

from matplotlib import pyplot as plt

COLOURS = {"train": "#4477aa", "val": "#66ccee", "dev": "#ccbb44", "test": "#ee6677"}


def plot(built: Built, path: Path) -> None:
    """Write the page to `path` (PNG)."""
    counts = {split: Counter(c.recording.label for c in built.clips if c.recording.split == split)
              for split in COLOURS}  # fmt: skip
    total: Counter[str] = sum(counts.values(), Counter())
    labels = [label for label, _ in sorted(total.items(), key=lambda item: (item[1], item[0]))]
    fig = plt.figure(figsize=(16, max(8.0, 0.17 * len(labels))), layout="constrained")
    grid = fig.add_gridspec(2, 2, width_ratios=[3, 2], height_ratios=[1, 3])
    bars, times, agree = (
        fig.add_subplot(grid[:, 0]), fig.add_subplot(grid[0, 1]), fig.add_subplot(grid[1, 1])
    )  # fmt: skip
    left = [0] * len(labels)
    for split, colour in COLOURS.items():
        own = [counts[split][label] for label in labels]
        bars.barh(labels, own, left=left, color=colour, label=split)
        left = [a + b for a, b in zip(left, own, strict=True)]
    bars.set(xlabel="clips", title="Clips of each label")
    bars.tick_params(axis="y", labelsize=7)
    bars.margins(y=0.005)
    bars.legend(loc="lower right")
    times.hist([c.piece.duration_s for c in built.clips], bins=50, color="#4477aa")
    times.set(xlabel="duration, s", ylabel="clips", title="Durations")
    ranked = sorted(built.agreement.items(), key=lambda item: item[1].share)
    agree.barh(
        [name for name, _ in ranked],
        [heard.share for _, heard in ranked],
        color=["#ee6677" if heard.share < ENOUGH else "#228833" for _, heard in ranked],
    )
    agree.axvline(ENOUGH, color="black", linewidth=0.8)
    agree.set(
        xlim=(0, 1), xlabel="share", title="A compatible class among the teacher's first five"
    )
    agree.tick_params(axis="y", labelsize=5)
    agree.margins(y=0.005)
    fig.savefig(path, dpi=110)
    plt.close(fig)
