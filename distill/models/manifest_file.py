"""The manifest file of a model bundle, always replaced as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge.inference.bundle import MANIFEST, read_manifest


def write_manifest_file(folder: Path, manifest: dict[str, Any]) -> None:
    """Write `manifest` into the bundle `folder`, in place of the one there is."""
    part = folder / (MANIFEST + ".part")
    part.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(folder / MANIFEST)


def record_metrics(folder: Path, metrics: dict[str, float]) -> None:
    """Write the figures of an evaluation into the manifest of the bundle in `folder`."""
    write_manifest_file(folder, read_manifest(folder) | {"metrics": metrics})
