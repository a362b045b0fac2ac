"""Pages of doubtful clips: for each label a picture, and a table of all."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from dataclasses import astuple, fields
from pathlib import Path

import matplotlib
import numpy as np
import torch

from distill.corpus.decisions import Decision
from distill.errors import CorpusError
from distill.probe.doubts import Doubt
from distill.scenes.noise import RATE
from distill.teachers.tagger import Tagger
from edge.audio.clip import read_clip

matplotlib.use("Agg")

from matplotlib import pyplot as plt

COLUMNS = 4
MOST = 12  # clips of a page, the most doubtful ones


def write_pages(doubts: list[Doubt], tagger: Tagger, out: Path) -> None:
    """Write a picture for each label, doubts.csv and decisions.csv to the folder `out`.

    Raises
    ------
    CorpusError
        If the folder cannot be written.
    """
    by_label = defaultdict(list)
    for doubt in doubts:
        by_label[doubt.clip.label].append(doubt)
    try:
        out.mkdir(parents=True, exist_ok=True)
        _write_table(doubts, out / "doubts.csv")
        write_decisions(decisions(doubts), out / "decisions.csv")
        for label, own in by_label.items():
            name = re.sub(r"\W+", "_", label.lower()).strip("_")
            _draw(label, own, tagger, out / f"{name}.png")
    except OSError as error:
        raise CorpusError(f"{error.filename}: cannot be written ({error.strerror})") from None


def decisions(doubts: list[Doubt]) -> list[Decision]:
    """Return what the rule decided, in the order of sources and paths."""
    rows = []
    for doubt in doubts:
        if doubt.decision == "keep":
            continue
        best, share = doubt.guesses[0]
        rows.append(
            Decision(
                doubt.clip.source,
                doubt.clip.source_path,
                f"{doubt.clip.start_s:g}",
                doubt.clip.label,
                doubt.decision,
                doubt.new_label,
                f"probe: {best} {share:.2f}, label {doubt.label_p:.2f}, group "
                f"{doubt.group_p:.2f}; tagger: {doubt.tags[0]}, {doubt.tags[1]}",
            )
        )
    return sorted(rows, key=astuple)


def write_decisions(rows: list[Decision], path: Path) -> None:
    """Write decisions.csv."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([field.name for field in fields(Decision)])
        table.writerows(astuple(row) for row in rows)


def _write_table(doubts: list[Doubt], path: Path) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(
            ["path", "label", "source", "source_path", "excerpt_start_s", "label_p", "group_p",
             "probe", "tagger", "compatible", "decision", "new_label"]
        )  # fmt: skip
        for doubt in doubts:
            clip = doubt.clip
            table.writerow(
                [clip.path, clip.label, clip.source, clip.source_path, clip.start_s,
                 f"{doubt.label_p:.4f}", f"{doubt.group_p:.4f}", _listed(doubt),
                 "; ".join(doubt.tags), doubt.compatible, doubt.decision, doubt.new_label]
            )  # fmt: skip


def _listed(doubt: Doubt) -> str:
    return "; ".join(f"{label} {share:.2f}" for label, share in doubt.guesses)


def _draw(label: str, doubts: list[Doubt], tagger: Tagger, path: Path) -> None:
    shown = doubts[:MOST]
    rows = -(-len(shown) // COLUMNS)
    fig, axes = plt.subplots(
        rows, COLUMNS, figsize=(20, 3.4 * rows + 0.6), squeeze=False, layout="constrained"
    )
    fig.suptitle(f"{label}: {len(doubts)} doubtful clips, the {len(shown)} most doubtful are shown")
    for place in axes.flat:
        place.set_axis_off()
    for place, doubt in zip(axes.flat, shown, strict=False):
        audio = read_clip(doubt.clip.file, RATE)
        mel = tagger.log_mel(torch.from_numpy(np.pad(audio, (0, RATE // 10)))[None])[0, 0].numpy()
        place.set_axis_on()
        place.imshow(mel, origin="lower", aspect="auto", extent=(0, len(audio) / RATE, 0, len(mel)))
        place.set_yticks([])
        place.tick_params(labelsize=7)
        place.set_title(
            f"{doubt.clip.source}: {doubt.clip.source_path[-48:]} +{doubt.clip.start_s:g} s\n"
            f"label {doubt.label_p:.2f}, group {doubt.group_p:.2f} -> "
            f"{doubt.decision} {doubt.new_label}\n"
            f"probe: {_listed(doubt)[:80]}\n"
            f"tagger: {', '.join(doubt.tags[:4])[:80]}",
            fontsize=7,
            loc="left",
        )
    fig.savefig(path, dpi=80)
    plt.close(fig)
