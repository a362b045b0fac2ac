"""OpenVINO for Intel and ARM CPUs; it reads ONNX graphs and its own format."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import BundleError
from edge.inference.backends import Run
from edge.inference.backends.quiet_openvino import openvino
from edge.inference.bundle import Bundle
from edge.inference.features import Floats


def load(bundle: Bundle, threads: int) -> tuple[Run, Run]:
    """Return the functions that run the encoder and the decoder.

    Raises
    ------
    BundleError
        OpenVINO cannot load a graph.
    """
    core = openvino.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        # Several captioners, or a captioner and other programs of a small device, share cores.
        "ENABLE_CPU_PINNING": False,
        # By default OpenVINO computes in bf16 or f16 if the CPU can, which changes captions.
        "INFERENCE_PRECISION_HINT": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
        # The compiled subgraphs of OpenVINO compute attention over 16 or more tokens wrongly (seen
        # in 2026.4.1).
        "SNIPPETS_MODE": "DISABLE",
    }
    if folder := _cache():
        settings["CACHE_DIR"] = str(folder)

    def run(name: str) -> Run:
        if bundle.format == "openvino":
            model = core.read_model(bundle.graphs[f"{name}.xml"], bundle.graphs[f"{name}.bin"])
        else:
            model = core.read_model(bundle.graphs[f"{name}.onnx"])
        request = core.compile_model(model, "CPU", settings).create_infer_request()

        def call(inputs: Mapping[str, NDArray[np.generic]]) -> Sequence[Floats]:
            results = request.infer(inputs)
            return [results[i] for i in range(len(results))]

        return call

    try:
        return run("encoder"), run("decoder")
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise BundleError(f"model {bundle.name!r}: OpenVINO refuses it: {reason}") from None


def _cache() -> Path | None:
    """Return the cache folder of compiled models, which makes the next start fast.

    Return None if no such folder can be written.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    folder = root / "aac-stream" / "openvino"
    if not root.is_absolute():  # The user has no home folder.
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None
