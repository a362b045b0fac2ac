"""Writes model bundles: graphs and the manifest that `edge` reads."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from edge.bundle import GRAPHS, MANIFEST, VERSION, DecoderSpec, load_bundle
from edge.clip import read_clip
from edge.errors import BundleError
from edge.features import FeatureSpec, LogMel
from export.graphs import export_decoder, export_encoder
from export.quantise import quantise_decoder, quantise_encoder
from export.student import END, PAD, START, Student, StudentSpec

LICENCE = "Apache-2.0"


@dataclass(frozen=True)
class Checkpoint:
    """What training left, ready to export."""

    student: Student
    words: list[str]
    features: FeatureSpec
    quiet_captions: list[str]  # what the student says when nothing sounds
    calibration: list[Path]  # recordings that show int8 the range of real values
    training: dict[str, Any]


def load_checkpoint(path: Path) -> Checkpoint:
    """The averaged student in the checkpoint at `path`.

    Raises: BundleError if it is not one.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        student = Student(StudentSpec(**state["spec"]))
        student.load_state_dict(state["averaged"])
        return Checkpoint(
            student=student.eval(),
            words=state["words"],
            features=FeatureSpec(**state["features"]),
            quiet_captions=state["quiet_captions"],
            calibration=[Path(path) for path in state["calibration"]],
            training={"steps": state["step"], **state["config"], **state["data"]},
        )
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
    except (RuntimeError, KeyError, TypeError, ValueError, EOFError, UnpicklingError):
        raise BundleError(
            f"{path}: is not a checkpoint of aac-distill; train one with aac-distill train"
        ) from None


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
        "name": "aac-stream-efflite0",
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
    text = json.dumps(manifest, indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
