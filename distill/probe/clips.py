"""The clips of a corpus as the probe needs them: with recording, collection and group."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from distill.corpus.ontology import Ontology
from distill.errors import CorpusError

NEEDED = ("path", "label", "source", "split")


@dataclass(frozen=True)
class ProbeClip:
    """A row of `clips.csv`."""

    folder: Path  # of the corpus
    path: str  # relative to `folder`
    label: str  # a label, or a group where the file's name does not say more
    group: str  # of the label; the label itself where no group is known
    group_only: bool  # `label` is a group
    collection: str  # kind of the source, such as "games"; "" where it is not known
    source: str
    source_path: str
    start_s: float  # of the excerpt within its recording
    duration_s: float  # 0 where the table does not say
    split: str

    @property
    def file(self) -> Path:
        return self.folder / self.path

    @property
    def recording(self) -> str:
        """Name of the recording; all excerpts of one recording share it."""
        return f"{self.source}/{self.source_path or self.path}"

    @property
    def family(self) -> str:
        """Name of the recordings whose names differ in digits only, such as takes 1 to 9."""
        return re.sub(r"\d+", "", self.recording)


def read_probe_clips(
    folder: Path, ontology: Ontology, collections: Mapping[str, str]
) -> list[ProbeClip]:
    """Return the clips that `folder`/clips.csv lists.

    Parameters
    ----------
    ontology
        The groups of the labels; a label that it does not have is its own group.
    collections
        From source to collection.

    Raises
    ------
    CorpusError
        If there is no such table, or a column is missing.
    """
    table = folder / "clips.csv"
    if not table.is_file():
        raise CorpusError(f"{table}: no such file; give the folder that holds clips.csv")
    with open(table, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if missing := [name for name in NEEDED if name not in (reader.fieldnames or [])]:
            raise CorpusError(f"{table}: has no column {missing[0]!r}")
        return [
            ProbeClip(
                folder,
                row["path"],
                row["label"],
                ontology.group_of.get(row["label"], row["label"]),
                row["label"] in ontology.groups,
                collections.get(row["source"], ""),
                row["source"],
                row.get("source_path") or "",
                float(row.get("excerpt_start_s") or 0.0),
                float(row.get("duration_s") or 0.0),
                row["split"],
            )
            for row in reader
        ]
