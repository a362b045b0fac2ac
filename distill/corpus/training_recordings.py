"""What a student learns from beside scenes, and what its manifest says of all of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile

from distill.corpus.dataset import Clip
from distill.corpus.user_recordings import Recording, find_recordings
from distill.errors import CorpusError


@dataclass(frozen=True)
class Recordings:
    """Recordings of one folder, each with its length in seconds."""

    name: str
    items: list[tuple[Recording, float]]


def read_recordings(given: str, strict: bool) -> tuple[Recordings, list[str]]:
    """The recordings of "LAYOUT:FOLDER", and a line for each file that was left out.

    Raises: CorpusError if nothing is there; with `strict`, also if any file is left out.
    """
    layout, _, folder = given.partition(":")
    if not folder:
        raise CorpusError(f"--recordings {given}: give it as LAYOUT:FOLDER")
    found = find_recordings(Path(folder), layout)
    if strict and found.faults:
        raise CorpusError(f"{found.faults[0]} ({len(found.faults)} such; without --strict "
                          "they are left out)")  # fmt: skip
    items = [(r, float(soundfile.info(r.path).duration)) for r in found.recordings]
    return Recordings(given, items), found.faults


def summary(clips: list[Clip], recordings: list[Recordings]) -> dict[str, Any]:
    """Whom a model owes its training: clips by source and licence."""
    counts = Counter((clip.source, clip.licence) for clip in clips)
    for found in recordings:
        counts[found.name, "see its publisher"] += len(found.items)
    return {
        "clips": sum(counts.values()),
        "sources": [
            {"source": source, "licence": licence, "clips": count}
            for (source, licence), count in sorted(counts.items())
        ],
    }
