"""A published student, by folder or by name, as a checkpoint to export."""

from __future__ import annotations

from pathlib import Path

from distill.models.checkpoint import Checkpoint
from edge.inference.bundle import SearchSpec
from export.hub import fetch
from export.published import load_published


def load_source(source: str, tokenizer: str | None) -> Checkpoint:
    """The student in the folder `source`; if there is none, of that name on the hub.

    Raises: BundleError.
    """
    if Path(source).exists():
        words = Path(tokenizer) if tokenizer else None
        published = load_published(Path(source), words)
    else:
        found = fetch(source)
        words = Path(tokenizer) if tokenizer else found.tokenizer
        published = load_published(found.folder, words, found.source)
    return Checkpoint(
        name=published.source,
        student=published.student,
        words=published.words,
        features=published.features,
        # As its authors search: nothing is forbidden, or its captions would be others.
        search=SearchSpec(
            beam=published.beam,
            max_tokens=published.max_tokens,
            no_repeat_ngram=0,
            forbidden=[],
        ),
        licence=f"as its authors say: {published.source}",
        training={"source": published.source},
    )
