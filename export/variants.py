"""The variants of a bundle: one student, other arithmetic."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.inference.features import Floats
from export.openvino_int8 import nncf_decoder, nncf_encoder
from export.quantise import dynamic, static_qdq, weights_only

# Writes the second path from the fp32 graph at the first, with windows of real features.
Recipe = Callable[[Path, Path, Sequence[Floats]], None]


@dataclass(frozen=True)
class Variant:
    """How the two graphs are made, and the format that they are in."""

    encoder: Recipe
    decoder: Recipe
    calibrated: bool  # whether it needs recordings
    format: str = "onnx"


def _copy(source: Path, target: Path, _: Sequence[Floats]) -> None:
    shutil.copyfile(source, target)


VARIANTS = {
    "fp32": Variant(_copy, _copy, calibrated=False),
    # The one that ships; docs/variants.md has the others' figures.
    "int8": Variant(static_qdq, dynamic, calibrated=True),
    "int8-static": Variant(static_qdq, _copy, calibrated=True),
    "int8-dynamic": Variant(dynamic, dynamic, calibrated=False),
    "int8-weights": Variant(weights_only, weights_only, calibrated=False),
    "int8-nncf": Variant(nncf_encoder, nncf_decoder, calibrated=True, format="openvino"),
}
