"""MobileNetV3-Large over log-mel features: the network of the tagger and of the student `mobile`.

Howard et al., *Searching for MobileNetV3*, ICCV 2019, table 1, with every width scaled. The names
of the modules follow EfficientAT's checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

HEAD = 960  # channels of the last convolution at width 1

# kernel, expanded channels, output channels, squeeze-and-excitation, hardswish, stride
BLOCKS = [
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
]


def scaled_width(channels: float) -> int:
    """`channels` rounded to a multiple of 8, never below 90 % of it (Howard et al.)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _conv(
    inputs: int, outputs: int, kernel: int, stride: int, groups: int, act: nn.Module | None
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01),
    ]
    return nn.Sequential(*layers, act) if act is not None else nn.Sequential(*layers)


class _Squeeze(nn.Module):
    """Squeeze-and-excitation over channels, with reduction 4."""

    def __init__(self, channels: int, gate: type[nn.Module]) -> None:
        super().__init__()
        inner = scaled_width(channels // 4)
        self.fc1 = nn.Linear(channels, inner)
        self.fc2 = nn.Linear(inner, channels)
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        scale = self.fc2(torch.relu(self.fc1(x.mean((2, 3)))))
        out: Tensor = x * self.gate(scale)[:, :, None, None]
        return out


class _SqueezeBranches(nn.Module):
    """The checkpoint keeps its one squeeze branch in a list of branches."""

    def __init__(self, channels: int, gate: type[nn.Module]) -> None:
        super().__init__()
        self.conc_se_layers = nn.ModuleList([_Squeeze(channels, gate)])

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conc_se_layers[0](x)
        return out


class _Block(nn.Module):
    """Inverted residual: expand, depthwise, squeeze, project."""

    def __init__(
        self,
        inputs: int,
        kernel: int,
        hidden: int,
        outputs: int,
        se: bool,
        hs: bool,
        stride: int,
        gate: type[nn.Module],
    ) -> None:
        super().__init__()
        act = nn.Hardswish if hs else nn.ReLU
        layers: list[nn.Module] = []
        if hidden != inputs:
            layers.append(_conv(inputs, hidden, 1, 1, 1, act()))
        layers.append(_conv(hidden, hidden, kernel, stride, hidden, act()))
        if se:
            layers.append(_SqueezeBranches(hidden, gate))
        layers.append(_conv(hidden, outputs, 1, 1, 1, None))
        self.block = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return x + y if self.residual else y


def mobilenet_layers(width: float, gate: type[nn.Module]) -> nn.Sequential:
    """Return the stem, the 15 blocks and the last convolution, to be run in order.

    Parameters
    ----------
    width
        Factor of all channel counts.
    gate
        Activation that scales the channels of squeeze-and-excitation: `nn.Sigmoid`, or
        `nn.Hardsigmoid`, which int8 and ARM kernels compute faster.

    Returns
    -------
    nn.Sequential
        Maps features (batch, 1, mels, frames) to (batch, `head_channels(width)`, mels / 32,
        frames / 32), both rounded up.
    """
    widths = [scaled_width(width * 16)] + [scaled_width(width * b[2]) for b in BLOCKS]
    layers: list[nn.Module] = [_conv(1, widths[0], 3, 2, 1, nn.Hardswish())]
    for i, (kernel, hidden, _, se, hs, stride) in enumerate(BLOCKS):
        inner = scaled_width(width * hidden)
        layers.append(_Block(widths[i], kernel, inner, widths[i + 1], se, hs, stride, gate))
    layers.append(_conv(widths[-1], head_channels(width), 1, 1, 1, nn.Hardswish()))
    return nn.Sequential(*layers)


def head_channels(width: float) -> int:
    """Return the number of channels of the memory and of the clip embedding."""
    return scaled_width(width * HEAD)


class MobileEncoder(nn.Module):
    """The encoder of the student `mobile`: features to attention memory."""

    def __init__(self, width: float = 0.4) -> None:
        super().__init__()
        self.layers = mobilenet_layers(width, nn.Hardsigmoid)

    def forward(self, features: Tensor) -> Tensor:
        """Return the memory (batch, ~frames / 32, channels) of `features` (batch, frames, mels)."""
        maps: Tensor = self.layers(features.transpose(1, 2)[:, None])
        return maps.mean(2).transpose(1, 2)
