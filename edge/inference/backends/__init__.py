"""Runtimes for a bundle's graphs: `onnx`, `openvino` or `torch`, imported on first use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import BundleError, NotInstalledError
from edge.inference.bundle import Bundle, DecoderSpec
from edge.inference.features import Floats

# A function that runs a graph: it takes the inputs by name and returns the outputs in order.
Run = Callable[[Mapping[str, NDArray[np.generic]]], Sequence[Floats]]

# By backend name: the module, the packages that it imports, and the argument of `pip install` that
# provides them. The module's `load(bundle, threads)` returns the functions that run the encoder
# and the decoder.
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

    The memory has shape = (layers, 2, heads, length, width). It holds the keys and values of a
    window as each decoder layer projects them. The past has
    shape = (layers, 2, beams, heads, tokens, width). It holds the keys and values of the tokens so
    far.
    """

    def __init__(self, spec: DecoderSpec, encoder: Run, decoder: Run) -> None:
        self._spec, self._encoder, self._decoder = spec, encoder, decoder

    def encode(self, features: Floats) -> Floats:
        """Return the memory of `features` (frames, mels)."""
        return self._encoder({"features": features})[0]

    def start(self) -> Floats:
        """Return the past of one beam before its first token."""
        spec = self._spec
        return np.zeros((spec.layers, 2, 1, spec.heads, 0, spec.head_width), np.float32)

    def step(self, tokens: list[int], past: Floats, memory: Floats) -> tuple[Floats, Floats]:
        """Feed one token of each beam to the decoder.

        Parameters
        ----------
        tokens
            Last token of each beam.
        past : shape = (layers, 2, beams, heads, tokens, width)
            Keys and values of the tokens before.
        memory : shape = (layers, 2, heads, length, width)
            Output of `encode`.

        Returns
        -------
        logits : shape = (beams, vocabulary)
            Logits of the next token.
        past : shape = (layers, 2, beams, heads, tokens + 1, width)
            The past including `tokens`.
        """
        inputs: dict[str, NDArray[Any]] = {
            "tokens": np.array(tokens, np.int64),
            "past": past,
            "memory": memory,
        }
        logits, present = self._decoder(inputs)
        return logits, present


def load_backend(name: str, bundle: Bundle, threads: int = 1) -> Backend:
    """Return the backend `name` with the graphs of `bundle`, on `threads` threads.

    Raises
    ------
    NotInstalledError
        A package that the backend needs is not installed.
    BundleError
        The backend cannot run these graphs.
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
