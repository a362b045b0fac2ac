"""Writes model bundles: two graphs and a manifest each, in fp32 and in int8."""

from __future__ import annotations

import shutil
from pathlib import Path

from edge.bundle import GRAPHS, load_bundle
from edge.clip import read_clip
from edge.features import LogMel
from export.checkpoint import Checkpoint
from export.graphs import export_decoder, export_encoder
from export.manifest import write_manifest
from export.quantise import quantise_decoder, quantise_encoder


def write_bundles(checkpoint: Checkpoint, out: Path) -> list[Path]:
    """Write `out`/fp32 and `out`/int8.

    Each folder is complete or absent. Returns: the two folders.
    """
    folders = []
    fp32, int8 = out / "fp32", out / "int8"
    for folder in (fp32, int8):
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        if folder is fp32:
            export_encoder(checkpoint.student, checkpoint.features.n_mels, part / GRAPHS[0])
            export_decoder(checkpoint.student, part / GRAPHS[1])
        else:
            log_mel = LogMel(checkpoint.features)
            rate = checkpoint.features.sample_rate
            windows = (log_mel(read_clip(path, rate)) for path in checkpoint.calibration)
            quantise_encoder(fp32 / GRAPHS[0], part / GRAPHS[0], windows)
            quantise_decoder(fp32 / GRAPHS[1], part / GRAPHS[1])
        write_manifest(checkpoint, folder.name, part)
        load_bundle(part)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
        folders.append(folder)
    return folders
