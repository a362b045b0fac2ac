"""PyTorch, which runs the same graphs operator by operator, for comparison and not for speed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

# PyTorch reads this variable once, when its thread pool starts. Idle threads then sleep between
# windows instead of spinning.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch
from numpy.typing import NDArray

from edge.inference.backends import Run
from edge.inference.backends.graph_in_torch import TorchGraph
from edge.inference.bundle import Bundle
from edge.inference.features import Floats


def load(bundle: Bundle, threads: int) -> tuple[Run, Run]:
    """Return the functions that run the encoder and the decoder."""
    torch.set_num_threads(threads)

    def run(graph: bytes) -> Run:
        model = TorchGraph(graph)

        @torch.inference_mode()
        def call(inputs: Mapping[str, NDArray[np.generic]]) -> Sequence[Floats]:
            outputs = model({name: torch.from_numpy(value) for name, value in inputs.items()})
            return [output.numpy() for output in outputs]

        return call

    return run(bundle.graphs["encoder.onnx"]), run(bundle.graphs["decoder.onnx"])
