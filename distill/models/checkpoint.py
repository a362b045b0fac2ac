"""What training left, ready to export."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from distill.models.student import PAD, START, Student, StudentSpec
from edge.errors import BundleError
from edge.inference.bundle import SearchSpec
from edge.inference.features import FeatureSpec

LICENCE = "Apache-2.0"

# What PyTorch raises where a file is damaged, or holds something else.
DAMAGE = (
    RuntimeError,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    UnpicklingError,
    struct.error,
)


@dataclass(frozen=True)
class Checkpoint:
    """A trained student and what goes with it."""

    name: str
    student: Student
    words: list[str]
    features: FeatureSpec
    search: SearchSpec
    licence: str
    quiet_captions: list[str] = field(default_factory=list)  # what it says when nothing sounds
    calibration: list[Path] = field(default_factory=list)  # recordings that show int8 real values
    training: dict[str, Any] = field(default_factory=dict)


def load_checkpoint(path: Path) -> Checkpoint:
    """The averaged student in the checkpoint at `path`.

    Raises: BundleError if it is not one.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        spec = StudentSpec(**state["spec"])
        student = Student(spec)
        student.load_state_dict(state["averaged"])
        return Checkpoint(
            name=f"aac-stream-{spec.encoder}",
            student=student.eval(),
            words=state["words"],
            features=FeatureSpec(**state["features"]),
            search=SearchSpec(
                beam=3, max_tokens=spec.max_tokens, no_repeat_ngram=2, forbidden=[PAD, START]
            ),
            licence=LICENCE,
            quiet_captions=state["quiet_captions"],
            calibration=[Path(path) for path in state["calibration"]],
            training={**state["config"], "teacher": state["teacher"], **state["data"]},
        )
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
    except DAMAGE:
        raise BundleError(
            f"{path}: is not a checkpoint of aac-distill; train one with aac-distill train"
        ) from None
