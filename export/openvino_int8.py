"""int8 by NNCF, in OpenVINO's own format."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

from edge.errors import BundleError
from edge.inference.features import Floats


def nncf_encoder(source: Path, target: Path, windows: Sequence[Floats]) -> None:
    """The encoder, ranges measured on `windows` of real features, its biases corrected."""
    nncf, openvino = _packages()
    model = openvino.Core().read_model(source)
    dataset = nncf.Dataset(list(windows), lambda window: {"features": window})
    with redirect_stdout(sys.stderr):  # its progress bars
        quantised = nncf.quantize(
            model, dataset, preset=nncf.QuantizationPreset.MIXED, subset_size=len(windows)
        )
    openvino.save_model(quantised, target, compress_to_fp16=False)


def nncf_decoder(source: Path, target: Path, _: Sequence[Floats]) -> None:
    """The decoder with int8 weights."""
    nncf, openvino = _packages()
    model = openvino.Core().read_model(source)
    with redirect_stdout(sys.stderr):
        compressed = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    openvino.save_model(compressed, target, compress_to_fp16=False)


def _packages() -> tuple[Any, Any]:
    try:
        # In this order, so that both are quiet: see there.
        openvino = import_module("edge.inference.backends.quiet_openvino").openvino
        nncf = import_module("nncf")
    except ImportError as error:
        raise BundleError(
            f"{error.name} is not installed; type: pip install 'aac-stream[nncf]'"
        ) from None
    nncf.set_log_level(logging.ERROR)
    return nncf, openvino
