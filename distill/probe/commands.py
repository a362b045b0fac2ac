"""What `aac-distill probe` and `aac-distill corpus doubts` do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from distill.corpus.sources import OWN
from distill.corpus.tables import load_recipe
from distill.probe.doubt_pages import write_pages
from distill.probe.doubts import find_doubts, trusted
from distill.probe.embeddings import Embed, teacher_embedding
from distill.probe.page import page
from distill.probe.run import Data, examine, load, training_clips
from distill.probe.worth import section, worth, write_section
from distill.teachers.tagger import Tagger, load_classes, load_tagger
from edge.inference.features import Floats


def probe(corpus: Path, teacher: Path, without: Sequence[str]) -> str:
    """Return the page of a probe on the teacher's embedding."""
    data = _teacher_data(corpus, load_tagger(teacher))
    return page(examine(data, training_clips(data, without)))


def table(corpus: Path, teacher: Path, before: Path | None, file: Path) -> None:
    """Write the table of what each collection of sources adds into a Markdown file."""
    tagger = load_tagger(teacher)
    old = None if before is None else _teacher_data(before, tagger)
    write_section(file, section(worth(_teacher_data(corpus, tagger), old)))


def doubts(corpus: Path, teacher: Path, out: Path) -> str:
    """Write the pages of doubtful clips to `out`; return a line that says how many there are."""
    tagger = load_tagger(teacher)
    data = _teacher_data(corpus, tagger)
    recipe = load_recipe()
    audioset = {label.name: label.audioset for label in recipe.labels.values()}
    found = find_doubts(
        data,
        _logits(tagger, data.windows.embedding),
        load_classes(teacher),
        audioset,
        trusted(recipe),
    )
    write_pages(found, tagger, out)
    decided = sum(doubt.decision != "keep" for doubt in found)
    return f"{len(found)} doubtful clips, {decided} decided by the rule; wrote {out}"


def load_data(corpus: Path, embed: Embed, name: str) -> Data:
    """Return the clips of a corpus with the embeddings of any encoder.

    `examine` and `page` say what a probe on them comes to. The embeddings are kept in
    `corpus`/probe/`name`.npz, so each state of an encoder needs its own `name`.

    Parameters
    ----------
    embed
        From audio (batch, samples at 32 kHz) to embeddings (batch, width).
    """
    recipe = load_recipe()
    collections = {name: entry.collection for name, entry in recipe.sources.items()}
    collections[OWN] = "made by the build"
    return load(corpus, recipe.ontology, collections, embed, name)


def _teacher_data(corpus: Path, tagger: Tagger) -> Data:
    return load_data(corpus, teacher_embedding(tagger), "teacher")


def _logits(tagger: Tagger, embeddings: Floats) -> Floats:
    """Return the tagger's logits (windows, classes) from its embeddings (windows, 384)."""
    with torch.inference_mode():
        parts = [
            torch.from_numpy(embeddings[i : i + 1024]) for i in range(0, len(embeddings), 1024)
        ]
        rows = [tagger.classifier[2:](part) for part in parts]
    return np.concatenate([row.numpy() for row in rows])
