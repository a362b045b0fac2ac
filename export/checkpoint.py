"""What training left, ready to export."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from edge.errors import BundleError
from edge.features import FeatureSpec
from export.student import Student, StudentSpec

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
            training={**state["config"], "teacher": state["teacher"], **state["data"]},
        )
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
    except DAMAGE:
        raise BundleError(
            f"{path}: is not a checkpoint of aac-distill; train one with aac-distill train"
        ) from None
