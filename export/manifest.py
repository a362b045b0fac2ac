"""Writes the manifest of a model bundle: all that `edge` knows of a model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge.bundle import GRAPHS, MANIFEST, VERSION, DecoderSpec, read_manifest
from export.checkpoint import Checkpoint
from export.student import END, PAD, START


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
    _write(folder, manifest)


def record_metrics(folder: Path, metrics: dict[str, float]) -> None:
    """Put what an evaluation found into the manifest of the bundle in `folder`."""
    _write(folder, read_manifest(folder) | {"metrics": metrics})


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write(folder: Path, manifest: dict[str, Any]) -> None:
    part = folder / (MANIFEST + ".part")
    part.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(folder / MANIFEST)
