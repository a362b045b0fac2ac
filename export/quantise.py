"""int8: static per-channel QDQ for the encoder, dynamic for the decoder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from edge.features import Floats


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, windows: Iterable[Floats]) -> None:
        self._windows = iter(windows)

    def get_next(self) -> dict[str, Floats] | None:
        window = next(self._windows, None)
        return None if window is None else {"features": window.astype(np.float32)}


def quantise_encoder(source: Path, target: Path, windows: Iterable[Floats]) -> None:
    """Quantise the encoder's graph, with ranges measured on `windows` of real features."""
    prepared = target.with_suffix(".prepared")
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        target,
        _Reader(windows),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )
    prepared.unlink()


def quantise_decoder(source: Path, target: Path) -> None:
    """Quantise the matrix products of the decoder's graph; ranges are found at run time."""
    prepared = target.with_suffix(".prepared")
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    quantize_dynamic(prepared, target, per_channel=True, weight_type=QuantType.QInt8)
    prepared.unlink()
