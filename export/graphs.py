"""The student as two ONNX graphs: one run per window, one per token."""

from __future__ import annotations

import copy
import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from export.student import Decoder, Student

OPSET = 18


class EncoderGraph(nn.Module):
    """Features (frames, mels) to the memory's keys and values (layers, heads, length, width)."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.encoder = _fold_batch_norms(student.encoder)
        self.decoder = student.decoder

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        projected = self.decoder.project(self.encoder(features[None]))
        keys, values = zip(*projected, strict=True)
        return torch.cat(keys), torch.cat(values)


class DecoderGraph(nn.Module):
    """One token to the logits of the next; keys and values of earlier tokens come and go."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self,
        token: Tensor,
        keys: Tensor,
        values: Tensor,
        memory_keys: Tensor,
        memory_values: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        position = torch.full((1,), keys.shape[2], dtype=torch.int64)
        x = self.decoder.embed(token[None], position)
        new_keys, new_values = [], []
        for i, layer in enumerate(self.decoder.blocks()):
            key, value = layer.own.project(x)
            key = torch.cat([keys[i : i + 1], key], dim=2)
            value = torch.cat([values[i : i + 1], value], dim=2)
            memory = (memory_keys[i : i + 1], memory_values[i : i + 1])
            x = layer(x, (key, value), memory, causal=False)
            new_keys.append(key)
            new_values.append(value)
        return self.decoder.logits(x)[0, 0], torch.cat(new_keys), torch.cat(new_values)


def _fold_batch_norms(module: nn.Module) -> nn.Module:
    """A copy in which each BatchNorm is part of the convolution before it."""
    folded = copy.deepcopy(module).eval()
    for parent in folded.modules():
        if isinstance(parent, nn.Sequential):
            layers: list[nn.Module] = []
            for layer in parent:
                if isinstance(layer, nn.BatchNorm2d) and isinstance(layers[-1], nn.Conv2d):
                    layers[-1] = fuse_conv_bn_eval(layers[-1], layer)
                else:
                    layers.append(layer)
            parent._modules = {str(i): layer for i, layer in enumerate(layers)}
    return folded


def export_encoder(student: Student, n_mels: int, path: Path) -> None:
    """Write the encoder's graph; any window length from 32 frames on."""
    _export(
        EncoderGraph(student),
        {"features": torch.zeros(500, n_mels)},
        {"features": {0: torch.export.Dim("frames", min=32, max=6000)}},
        ["keys", "values"],
        path,
    )


def export_decoder(student: Student, path: Path) -> None:
    """Write the graph of one decoder step."""
    spec = student.spec
    width = spec.width // spec.heads
    past = torch.zeros(spec.layers, spec.heads, 3, width)
    memory = torch.zeros(spec.layers, spec.heads, 16, width)
    tokens, length = torch.export.Dim("tokens"), torch.export.Dim("length")
    _export(
        DecoderGraph(student.decoder),
        {
            "token": torch.tensor([1]),
            "keys": past,
            "values": past.clone(),
            "memory_keys": memory,
            "memory_values": memory.clone(),
        },
        {
            "token": None,
            "keys": {2: tokens},
            "values": {2: tokens},
            "memory_keys": {2: length},
            "memory_values": {2: length},
        },
        ["logits", "new_keys", "new_values"],
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
