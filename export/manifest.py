"""The manifest of a model bundle: what `edge` knows of a model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge.bundle import GRAPHS, MANIFEST, VERSION, DecoderSpec
from export.checkpoint import Checkpoint
from export.student import END, PAD, START

LICENCE = "Apache-2.0"


def write_manifest(checkpoint: Checkpoint, precision: str, folder: Path) -> None:
    """Describe the graphs in `folder`."""
    spec = checkpoint.student.spec
    decoder = DecoderSpec(
        layers=spec.layers,
        heads=spec.heads,
        head_width=spec.width // spec.heads,
        max_tokens=spec.max_tokens,
        start=START,
        end=END,
        pad=PAD,
    )
    manifest = {
        "version": VERSION,
        "name": f"aac-stream-{spec.encoder}",
        "precision": precision,
        "licence": LICENCE,
        "features": asdict(checkpoint.features),
        "decoder": asdict(decoder),
        "quiet_captions": checkpoint.quiet_captions,
        "training": checkpoint.training,
        "files": {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in GRAPHS
        },
        "vocabulary": checkpoint.words,
    }
    _write(folder, manifest)


def record_metrics(folder: Path, metrics: dict[str, float]) -> None:
    """Add what an evaluation found to the manifest of the bundle in `folder`."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    _write(folder, manifest | {"metrics": metrics})


def _write(folder: Path, manifest: dict[str, Any]) -> None:
    part = folder / (MANIFEST + ".part")
    part.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(folder / MANIFEST)
