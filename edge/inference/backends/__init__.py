"""What a bundle's graphs run on: `onnx`, `openvino` or `torch`, imported only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import BundleError, NotInstalledError
from edge.inference.bundle import Bundle, DecoderSpec
from edge.inference.features import Floats

# The inputs of a graph by name to its outputs in order.
Run = Callable[[Mapping[str, NDArray[np.generic]]], Sequence[Floats]]

# Name: the module with `load(bundle, threads)`, which returns the runs of encoder and decoder; what
# it imports; and what to install for that.
RUNTIMES = {
    "onnx": ("edge.inference.backends.onnx_runtime", {"onnxruntime"}, "onnxruntime"),
    "openvino": (
        "edge.inference.backends.openvino_runtime",
        {"openvino"},
        "'aac-stream[openvino]'",
    ),
    "torch": ("edge.inference.backends.pytorch", {"torch", "onnx"}, "'aac-stream[torch]'"),
}


class Backend:
    """A loaded model: one encoder run per window, one decoder step per token of all beams.

    Memory, of shape = (layers, 2, heads, length, width), holds the keys and the values of a window
    as each layer projects them. Past, (layers, 2, beams, heads, tokens, width), holds those of the
    tokens so far.
    """

    def __init__(self, spec: DecoderSpec, encoder: Run, decoder: Run) -> None:
        self._spec, self._encoder, self._decoder = spec, encoder, decoder

    def encode(self, features: Floats) -> Floats:
        """The memory of `features` (frames, mels)."""
        return self._encoder({"features": features})[0]

    def start(self) -> Floats:
        """The past of one beam before its first token."""
        spec = self._spec
        return np.zeros((spec.layers, 2, 1, spec.heads, 0, spec.head_width), np.float32)

    def step(self, tokens: list[int], past: Floats, memory: Floats) -> tuple[Floats, Floats]:
        """Logits (beams, vocabulary) of what follows each beam's token, and the longer past."""
        inputs: dict[str, NDArray[Any]] = {
            "tokens": np.array(tokens, np.int64),
            "past": past,
            "memory": memory,
        }
        logits, longer = self._decoder(inputs)
        return logits, longer


def load_backend(name: str, bundle: Bundle, threads: int = 1) -> Backend:
    """The backend `name` with the graphs of `bundle`, on `threads` threads.

    Raises: BundleError if it is not installed, or cannot run these graphs.
    """
    module, needs, package = RUNTIMES[name]
    try:
        runtime = import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in needs:
            raise
        raise NotInstalledError(
            f"backend {name}: {error.name} is not installed; type: pip install {package}"
        ) from None
    if bundle.format != "onnx" and name != bundle.format:
        raise BundleError(
            f"model {bundle.name!r}: its graphs are for {bundle.format} alone; "
            f"use --backend {bundle.format}"
        )
    return Backend(bundle.decoder, *runtime.load(bundle, threads))
