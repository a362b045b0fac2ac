"""Writes the student's two networks as ONNX graphs."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from distill.models.student import Student
from export.inference import DecoderGraph, EncoderGraph

OPSET = 18


def export_encoder(student: Student, n_mels: int, path: Path) -> None:
    """Write the encoder's graph; any window length from 32 frames on."""
    _export(
        EncoderGraph(student),
        {"features": torch.zeros(500, n_mels)},
        {"features": {0: torch.export.Dim("frames", min=32, max=6000)}},
        ["memory"],
        path,
    )


def export_decoder(student: Student, path: Path) -> None:
    """Write the graph of one decoder step."""
    spec = student.spec
    width = spec.width // spec.heads
    beams, count, length = (torch.export.Dim(name) for name in ("beams", "count", "length"))
    _export(
        DecoderGraph(student.decoder),
        {
            "tokens": torch.tensor([1, 2]),
            "past": torch.zeros(spec.layers, 2, 2, spec.heads, 3, width),
            "memory": torch.zeros(spec.layers, 2, spec.heads, 16, width),
        },
        {"tokens": {0: beams}, "past": {2: beams, 4: count}, "memory": {3: length}},
        ["logits", "longer"],
        path,
    )


def _export(
    module: nn.Module,
    inputs: dict[str, Tensor],
    dynamic: dict[str, object],
    outputs: list[str],
    path: Path,
) -> None:
    # The exporter warns of torchvision, which we do not use, and of PyTorch's own code.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            kwargs=dict(inputs),
            dynamic_shapes=dynamic,
            input_names=list(inputs),
            output_names=outputs,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.save(path)
    onnx.checker.check_model(path, full_check=True)
