"""Writes the manifest of a model bundle: all that `edge` knows of a model."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path

from distill.models.checkpoint import Checkpoint
from distill.models.manifest_file import write_manifest_file
from distill.models.student import END, PAD, START
from edge.inference.bundle import GRAPHS, VERSION, DecoderSpec


def write_manifest(checkpoint: Checkpoint, precision: str, form: str, folder: Path) -> None:
    """Describe the graphs in `folder`, which are in the format `form`."""
    spec = checkpoint.student.spec
    decoder = DecoderSpec(
        layers=spec.layers,
        heads=spec.heads,
        head_width=spec.width // spec.heads,
        start=START,
        end=END,
        pad=PAD,
    )
    manifest = {
        "version": VERSION,
        "name": checkpoint.name,
        "precision": precision,
        "format": form,
        "licence": checkpoint.licence,
        "features": asdict(checkpoint.features),
        "decoder": asdict(decoder),
        "search": asdict(checkpoint.search),
        "quiet_captions": checkpoint.quiet_captions,
        "training": checkpoint.training,
        "metrics": {},
        "files": {name: _sha256(folder / name) for name in GRAPHS[form]},
        "vocabulary": checkpoint.words,
    }
    write_manifest_file(folder, manifest)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
