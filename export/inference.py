"""The student as a device runs it: one run per window, one per token; `graphs.py` exports them."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from distill.models.student import Decoder, Layer, Student


class EncoderGraph(nn.Module):
    """Features (frames, mels) to the attention memory (layers, 2, heads, length, width).

    The memory holds keys and values as each layer projects them, once per window; the keys are
    divided by the root of their width here, and so no step has to.
    """

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.encoder = _fold_batch_norms(student.encoder)
        self.decoder = student.decoder

    def forward(self, features: Tensor) -> Tensor:
        projected = self.decoder.project(self.encoder(features[None]))
        return torch.stack([torch.cat([keys * _scale(keys), values]) for keys, values in projected])


class DecoderGraph(nn.Module):
    """A token of each beam to the logits of the next.

    The keys and values of earlier tokens (layers, 2, beams, heads, tokens, width) come and go.
    """

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder
        self.steps = nn.ModuleList(_Step(layer) for layer in decoder.blocks())

    def forward(self, tokens: Tensor, past: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        position = torch.full((1,), past.shape[4], dtype=torch.int64)
        x = self.decoder.embed(tokens, position)
        longer = []
        for i, step in enumerate(self.steps):
            x, kept = step(x, past[i], memory[i])
            longer.append(kept)
        return self.decoder.logits(x), torch.stack(longer)


class _Step(nn.Module):
    """A `Layer` for one token of each beam: one product makes query, key and value."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        own = layer.own
        width = own.query.in_features
        self.layer, self.heads = layer, own.heads
        self.own = nn.Linear(width, 3 * width)
        parts = [own.query, own.key, own.value]
        scales = [(width / own.heads) ** -0.5, 1.0, 1.0]
        with torch.no_grad():
            for name in ("weight", "bias"):
                scaled = [getattr(p, name) * s for p, s in zip(parts, scales, strict=True)]
                getattr(self.own, name).copy_(torch.cat(scaled))

    def forward(self, x: Tensor, past: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """`x` is (beams, width); the others are as the graph has them, without the layers."""
        layer = self.layer
        own = self.own(x).reshape(-1, 3, self.heads, 1, past.shape[4]).transpose(0, 1)
        kept = torch.cat([past, own[1:]], dim=3)
        attended = _attend(own[0], kept[0], kept[1])
        x = layer.norms[0](x + layer.own.out(attended.flatten(1)))
        # Beams stand where a sequence has its tokens: all attend to the one memory.
        query = layer.memory.query(x).reshape(-1, self.heads, past.shape[4]).transpose(0, 1)
        attended = _attend(query, memory[0], memory[1])
        x = layer.norms[1](x + layer.memory.out(attended.transpose(0, 1).flatten(1)))
        return layer.norms[2](x + layer.feed(x)), kept


def _attend(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention whose scale is in the keys or the query already."""
    return (query @ keys.transpose(-1, -2)).softmax(-1) @ values


def _scale(keys: Tensor) -> float:
    return float(keys.shape[-1] ** -0.5)


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
