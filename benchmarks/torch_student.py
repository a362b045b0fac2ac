"""The student in PyTorch, as it was trained, in the loop that runs on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.systems import System
from distill.models.checkpoint import load_checkpoint
from distill.models.student import END, PAD, START
from edge.inference.backends import Backend, Run
from edge.inference.bundle import Bundle, DecoderSpec
from edge.inference.features import Floats
from export.inference import DecoderGraph, EncoderGraph


def load_torch_student(system: System, threads: int) -> tuple[Bundle, Backend]:
    """The checkpoint of `system`, eager or compiled.

    Raises: BundleError.
    """
    torch.set_num_threads(threads)
    checkpoint = load_checkpoint(Path(system.path))
    spec = checkpoint.student.spec
    bundle = Bundle(
        name=checkpoint.name,
        precision="fp32",
        format="onnx",
        licence=checkpoint.licence,
        features=checkpoint.features,
        decoder=DecoderSpec(spec.layers, spec.heads, spec.width // spec.heads, START, END, PAD),
        search=checkpoint.search,
        vocabulary=checkpoint.words,
        quiet_captions=frozenset(checkpoint.quiet_captions),
        training={},
        metrics={},
        graphs={},
    )
    networks = EncoderGraph(checkpoint.student), DecoderGraph(checkpoint.student.decoder)
    compiled = system.runtime == "torch-compiled"
    encoder, decoder = (_run(network.eval(), compiled) for network in networks)
    return bundle, Backend(bundle.decoder, encoder, decoder)


def _run(network: nn.Module, compiled: bool) -> Run:
    # Lengths of windows and captions differ; it should not compile again for each of them.
    forward = torch.compile(network, dynamic=True) if compiled else network

    @torch.inference_mode()
    def call(inputs: Mapping[str, NDArray[Any]]) -> Sequence[Floats]:
        outputs = forward(**{name: torch.from_numpy(value) for name, value in inputs.items()})
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return [output.numpy() for output in outputs]

    return call
