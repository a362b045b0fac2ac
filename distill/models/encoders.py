"""The students' encoders: the EfficientNet family over log-mel features.

Tan and Le, *EfficientNet*, ICML 2019. `effb2` is the paper's encoder (arXiv 2407.14329, section
3.3), and `effb2-static` is it as the authors' checkpoints have it; `effb0` is its smaller sibling;
`efflite` has no squeeze-and-excitation and ReLU6 alone, which int8 needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# repeats, kernel, stride, expansion, output channels; Tan and Le, table 1
STAGES = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
]
STEM, HEAD = 32, 1280


@dataclass(frozen=True)
class Family:
    """How a member differs from EfficientNet-B0."""

    width: float = 1.0  # times the channels
    depth: float = 1.0  # times the repeats
    lite: bool = False
    image: int | None = None  # paddings are for squares of that size; memory of whole frames alone

    def channels(self, count: int) -> int:
        """`count` scaled, rounded to a multiple of 8, never below 90 % of it."""
        scaled = count * self.width
        rounded = max(8, int(scaled + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * scaled else rounded

    @property
    def head(self) -> int:
        """Channels of the attention memory and the clip embedding."""
        return self.channels(HEAD)


ENCODERS = {
    "effb2": Family(width=1.1, depth=1.2),
    "effb0": Family(),
    "efflite": Family(lite=True),
    # `efficientnet_pytorch` pads for the images of ImageNet, whatever it is given.
    "effb2-static": Family(width=1.1, depth=1.2, image=260),
}
STRIDE = 32  # frames for each vector of the memory


def _conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, even: bool = False
) -> list[nn.Module]:
    """A convolution and its norm; `even`: padded as to halve an even size, one less in front."""
    after = kernel // 2
    before = after - even
    return [
        *([nn.ZeroPad2d((before, after, before, after))] if even else []),
        nn.Conv2d(inputs, outputs, kernel, stride, 0 if even else after, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01),
    ]


class SqueezeExcitation(nn.Module):
    """Channels weighed by what the whole map holds (Hu et al. 2018)."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, inner, 1)
        self.expand = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = nn.functional.silu(self.reduce(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.expand(squeezed))


class Block(nn.Module):
    """Inverted residual: expand, depthwise, squeeze, project (Sandler et al. 2018)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int,
        expansion: int,
        lite: bool,
        even: bool = False,
    ) -> None:
        super().__init__()
        inner = inputs * expansion
        act = nn.ReLU6 if lite else nn.SiLU
        layers: list[nn.Module] = []
        if expansion > 1:
            layers += [*_conv(inputs, inner, 1), act()]
        layers += [*_conv(inner, inner, kernel, stride, groups=inner, even=even), act()]
        if not lite:
            layers.append(SqueezeExcitation(inner, max(1, inputs // 4)))
        self.layers = nn.Sequential(*layers, *_conv(inner, outputs, 1))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


class Encoder(nn.Module):
    """Features (batch, frames, mels) to attention memory (batch, ~frames / 32, head)."""

    def __init__(self, name: str) -> None:
        super().__init__()
        family = ENCODERS[name]
        act = nn.ReLU6 if family.lite else nn.SiLU
        channels = family.channels(STEM)
        size = (
            family.image or 1
        )  # halved it stays 1: odd sizes alone are padded alike on both sides
        layers: list[nn.Module] = [*_conv(1, channels, 3, 2, even=size % 2 == 0), act()]
        size = math.ceil(size / 2)
        for repeats, kernel, stride, expansion, base in STAGES:
            outputs = family.channels(base)
            for i in range(math.ceil(repeats * family.depth)):
                step = stride if i == 0 else 1
                even = step == 2 and size % 2 == 0
                layers.append(Block(channels, outputs, kernel, step, expansion, family.lite, even))
                channels, size = outputs, math.ceil(size / step)
        self.layers = nn.Sequential(*layers, *_conv(channels, family.head, 1), act())
        self.whole = family.image is not None

    def forward(self, features: Tensor) -> Tensor:
        maps: Tensor = self.layers(features.transpose(1, 2)[:, None])
        if self.whole:
            maps = maps[..., : features.shape[1] // STRIDE]
        return maps.mean(2).transpose(1, 2)

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Start from ImageNet values in the naming of `efficientnet_pytorch` and its Lite sibling.

        Those networks saw three colours: their filters are summed for our one channel.

        Raises: ValueError if the values are of another network.
        """
        values = [
            value
            for name, value in state.items()
            if not name.startswith("_fc") and not name.endswith("num_batches_tracked")
        ]
        values[0] = values[0].sum(1, keepdim=True)
        own = {k: v for k, v in self.state_dict().items() if not k.endswith("num_batches_tracked")}
        if [v.shape for v in own.values()] != [v.shape for v in values]:
            raise ValueError("these are not the values of this encoder")
        self.load_state_dict(dict(zip(own, values, strict=True)), strict=False)
