"""Load a corpus with its embeddings, choose clips to train on, train and examine a probe."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from distill.corpus.ontology import Ontology
from distill.errors import CorpusError
from distill.probe.classifier import Probe, ProbeConfig, train_probe
from distill.probe.clips import ProbeClip, read_probe_clips
from distill.probe.embeddings import Embed, Windows, embed_clips
from distill.probe.scores import Guesses, guess

SPLITS = ("val", "dev", "test")  # that a probe may be examined on


@dataclass(frozen=True)
class Data:
    """Clips and their windows."""

    clips: list[ProbeClip]
    windows: Windows
    ontology: Ontology

    def of_split(self, split: str) -> list[int]:
        """Return the places of the clips of a split."""
        return [i for i, clip in enumerate(self.clips) if clip.split == split]


@dataclass(frozen=True)
class Examined:
    """A probe, the places of the clips that it was trained on, and what it says of all clips."""

    data: Data
    probe: Probe
    trained: list[int]
    guesses: Guesses


def load(
    folder: Path,
    ontology: Ontology,
    collections: Mapping[str, str],
    embed: Embed,
    name: str,
) -> Data:
    """Return the clips of the corpus in `folder` with the embeddings of `embed`.

    The embeddings are kept in `folder`/probe/`name`.npz, so each encoder needs its own `name`.

    Raises
    ------
    CorpusError
        If the corpus cannot be read, or the embeddings cannot be written beside it.
    """
    clips = read_probe_clips(folder, ontology, collections)
    with tqdm(total=len(clips), desc="embedding", unit="clip") as bar:
        windows = embed_clips(clips, embed, folder / "probe" / f"{name}.npz", bar.update)
    return Data(clips, windows, ontology)


def training_clips(data: Data, without: Collection[str] = ()) -> list[int]:
    """Return the places of the training clips, without some sources or collections.

    Raises
    ------
    CorpusError
        If a name of `without` is no source or collection of the corpus, or nothing is left.
    """
    known = {c.source for c in data.clips} | {c.collection for c in data.clips}
    if unknown := sorted(set(without) - known):
        raise CorpusError(f"--without: {unknown[0]!r} is no source or collection of this corpus")
    chosen = [
        i
        for i in data.of_split("train")
        if not {data.clips[i].source, data.clips[i].collection} & set(without)
    ]
    if not chosen:
        raise CorpusError("the corpus has no training clips left")
    return chosen


def train_on(data: Data, chosen: Collection[int], config: ProbeConfig | None = None) -> Probe:
    """Train a probe on all windows of the clips at the places `chosen`."""
    pick = np.isin(data.windows.clip, [*chosen])
    labels = [data.clips[i].label for i in data.windows.clip[pick]]
    groups = {name: data.ontology.within(name) for name in data.ontology.groups}
    return train_probe(data.windows.embedding[pick], labels, groups, config)


def examine(data: Data, chosen: list[int], config: ProbeConfig | None = None) -> Examined:
    """Train a probe on the clips at the places `chosen`, and let it name all windows of `data`."""
    probe = train_on(data, chosen, config)
    return Examined(data, probe, chosen, guess(probe, data.windows, data.clips, data.ontology))
