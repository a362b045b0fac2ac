"""The student: an EfficientNet encoder and a small Transformer decoder.

The family of arXiv 2407.14329 (section 3.3). Tensors are batch first throughout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.models.encoders import ENCODERS, Encoder

PAD, START, END = 0, 1, 2


@dataclass(frozen=True)
class StudentSpec:
    """Which encoder, and the sizes of the decoder."""

    vocabulary: int
    encoder: str = "efflite"  # one of ENCODERS
    width: int = 256
    layers: int = 2
    heads: int = 4
    hidden: int = 1024
    dropout: float = 0.2
    max_tokens: int = 24


class Attention(nn.Module):
    """Multi-head attention whose keys and values can be projected once and kept."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of `x`; each of shape = (batch, heads, length, width / heads)."""
        return self._split(self.key(x)), self._split(self.value(x))

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, causal: bool = False) -> Tensor:
        mixed = F.scaled_dot_product_attention(
            self._split(self.query(x)),
            keys,
            values,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=causal,
        )
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out


class Layer(nn.Module):
    """Post-norm decoder layer: self-attention, attention to the memory, feed-forward."""

    def __init__(self, spec: StudentSpec) -> None:
        super().__init__()
        self.own = Attention(spec.width, spec.heads, spec.dropout)
        self.memory = Attention(spec.width, spec.heads, spec.dropout)
        self.feed = nn.Sequential(
            nn.Linear(spec.width, spec.hidden),
            nn.ReLU(),
            nn.Dropout(spec.dropout),
            nn.Linear(spec.hidden, spec.width),
        )
        self.norms = nn.ModuleList(nn.LayerNorm(spec.width) for _ in range(3))
        self.drop = nn.Dropout(spec.dropout)

    def forward(
        self, x: Tensor, own: tuple[Tensor, Tensor], memory: tuple[Tensor, Tensor], causal: bool
    ) -> Tensor:
        x = self.norms[0](x + self.drop(self.own(x, *own, causal=causal)))
        x = self.norms[1](x + self.drop(self.memory(x, *memory)))
        return self.norms[2](x + self.drop(self.feed(x)))


def sinusoids(length: int, width: int) -> Tensor:
    """Positions of Vaswani et al. 2017, section 3.5; shape = (length, width)."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = torch.arange(length)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


class Decoder(nn.Module):
    """Memory and the tokens so far to the logits of the next; the word embedding is tied."""

    positions: Tensor

    def __init__(self, spec: StudentSpec, memory: int) -> None:
        """Of a memory with `memory` channels."""
        super().__init__()
        self.spec = spec
        self.adapt = nn.Sequential(
            nn.Linear(memory, spec.width),
            nn.ReLU(),
            nn.Dropout(spec.dropout),
            nn.LayerNorm(spec.width),
        )
        self.embedding = nn.Embedding(spec.vocabulary, spec.width)
        nn.init.normal_(self.embedding.weight, std=spec.width**-0.5)
        self.layers = nn.ModuleList(Layer(spec) for _ in range(spec.layers))
        self.drop = nn.Dropout(spec.dropout)
        positions = sinusoids(spec.max_tokens, spec.width)
        self.register_buffer("positions", positions, persistent=False)

    def embed(self, tokens: Tensor, position: Tensor) -> Tensor:
        """Inputs of the first layer for `tokens` (batch, n) at `position` (n,)."""
        scaled = self.embedding(tokens) * math.sqrt(self.spec.width)
        out: Tensor = self.drop(scaled + self.positions[position])
        return out

    def logits(self, x: Tensor) -> Tensor:
        return x @ self.embedding.weight.T

    def project(self, memory: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of `memory` for each layer, computed once per window."""
        adapted = self.adapt(memory)
        return [layer.memory.project(adapted) for layer in self.blocks()]

    def blocks(self) -> list[Layer]:
        """The layers, first to last."""
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def forward(self, memory: Tensor, tokens: Tensor) -> Tensor:
        """Logits (batch, length, vocabulary) after each of `tokens` (batch, length)."""
        x = self.embed(tokens, torch.arange(tokens.shape[1], device=tokens.device))
        for layer, projected in zip(self.blocks(), self.project(memory), strict=True):
            x = layer(x, layer.own.project(x), projected, causal=True)
        return self.logits(x)


class Student(nn.Module):
    """Encoder and decoder."""

    def __init__(self, spec: StudentSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = Encoder(spec.encoder)
        self.decoder = Decoder(spec, ENCODERS[spec.encoder].head)

    def forward(self, features: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Logits for each prefix of `tokens`, and the clip embedding (batch, head)."""
        memory = self.encoder(features)
        return self.decoder(memory, tokens), memory.mean(1)
