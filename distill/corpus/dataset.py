"""Labelled recordings on disk: `clips.csv` beside a folder of audio files."""

from __future__ import annotations

import csv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distill.errors import CorpusError
from edge.audio.clip import read_clip


@dataclass(frozen=True)
class Clip:
    """One recording with one label."""

    path: Path
    label: str
    kind: str  # "event", "ambience", "speech" or "music"
    source: str
    licence: str
    split: str  # "train", "val", "dev" or "test"
    group: str = ""  # The group of the label; "" in corpora without groups.
    level: str = "label"  # "group" if only the wording of the group is sure to be true.
    stroke: bool = False  # One stroke of a sound that occurs in series.


def read_clips(folder: Path) -> list[Clip]:
    """The clips that `folder`/clips.csv lists.

    Raises: CorpusError if there is no such table.
    """
    table = folder / "clips.csv"
    if not table.is_file():
        raise CorpusError(f"{table}: no such file; give the folder that holds clips.csv")
    with open(table, newline="", encoding="utf-8") as file:
        return [
            Clip(
                path=folder / row["path"],
                **{key: row[key] for key in ("label", "kind", "source", "licence", "split")},
                group=row.get("group", ""),
                level=row.get("level", "label"),
                stroke=row.get("series") == "yes",
            )
            for row in csv.DictReader(file)
        ]


def load_all(clips: list[Clip], rate: int) -> list[NDArray[np.int16]]:
    """Mono audio of every clip at `rate` Hz as 16-bit integers, to keep a corpus in memory."""

    def load(clip: Clip) -> NDArray[np.int16]:
        return (np.clip(read_clip(clip.path, rate), -1.0, 1.0) * 32767.0).astype(np.int16)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(load, clips))
