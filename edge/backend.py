"""ONNX Runtime: the bundle's graphs as three calls, `encode`, `start` and `step`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.errors import BundleError
from edge.features import Floats


@dataclass(frozen=True)
class Memory:
    """Keys and values of one window, projected once; shape = (layers, heads, length, width)."""

    keys: Floats
    values: Floats


@dataclass(frozen=True)
class Cache:
    """Keys and values of the tokens so far; shape = (layers, heads, tokens, width)."""

    keys: Floats
    values: Floats


class OnnxBackend:
    """Runs a bundle with ONNX Runtime on `threads` threads."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Between windows a device should sleep, not spin.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._spec = bundle.decoder
        try:
            self._encoder, self._decoder = (
                onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
                for graph in (bundle.graphs["encoder.onnx"], bundle.graphs["decoder.onnx"])
            )
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            reason = str(error).splitlines()[0]
            raise BundleError(f"model {bundle.name!r}: ONNX Runtime refuses it: {reason}") from None

    def encode(self, features: Floats) -> Memory:
        """The attention memory of `features` (frames, mels)."""
        keys, values = self._encoder.run(None, {"features": features})
        return Memory(keys, values)

    def start(self) -> Cache:
        """The cache before the first token."""
        empty = np.zeros(
            (self._spec.layers, self._spec.heads, 0, self._spec.head_width), np.float32
        )
        return Cache(empty, empty)

    def step(self, token: int, cache: Cache, memory: Memory) -> tuple[Floats, Cache]:
        """Logits (vocabulary,) of the token that follows `token`, and the longer cache."""
        inputs: dict[str, NDArray[np.generic]] = {
            "token": np.array([token], np.int64),
            "keys": cache.keys,
            "values": cache.values,
            "memory_keys": memory.keys,
            "memory_values": memory.values,
        }
        logits, keys, values = self._decoder.run(None, inputs)
        return logits, Cache(keys, values)
