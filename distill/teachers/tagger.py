"""An AudioSet tagger, whose embeddings the student learns from: EfficientAT's MobileNetV3-Large.

Schmid, Koutini, Widmer, *Efficient Large-Scale Audio Tagging via Transformer-to-CNN Knowledge
Distillation*, ICASSP 2023; the network is Howard et al. 2019, table 1, every width times 0.4.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from distill.errors import CorpusError
from distill.models.checkpoint import DAMAGE

SAMPLE_RATE = 32_000
N_FFT = 1024
WINDOW = 800  # 25 ms
HOP = 320  # 10 ms
N_MELS = 128
F_MAX = 15_000.0
EMBEDDING_DIM = 384
WIDTH = 0.4

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


def _width(channels: float) -> int:
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
    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = _width(channels // 4)
        self.fc1 = nn.Linear(channels, inner)
        self.fc2 = nn.Linear(inner, channels)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.fc2(torch.relu(self.fc1(x.mean((2, 3)))))
        return x * torch.sigmoid(scale)[:, :, None, None]


class _SqueezeBranches(nn.Module):
    """The checkpoint keeps its one squeeze branch in a list of branches."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conc_se_layers = nn.ModuleList([_Squeeze(channels)])

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conc_se_layers[0](x)
        return out


class _Block(nn.Module):
    def __init__(
        self, inputs: int, kernel: int, hidden: int, outputs: int, se: bool, hs: bool, stride: int
    ) -> None:
        super().__init__()
        act = nn.Hardswish if hs else nn.ReLU
        layers: list[nn.Module] = []
        if hidden != inputs:
            layers.append(_conv(inputs, hidden, 1, 1, 1, act()))
        layers.append(_conv(hidden, hidden, kernel, stride, hidden, act()))
        if se:
            layers.append(_SqueezeBranches(hidden))
        layers.append(_conv(hidden, outputs, 1, 1, 1, None))
        self.block = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return x + y if self.residual else y


def _kaldi_mel_bands() -> Tensor:
    """Kaldi's triangles, linear in mel = 1127 ln(1 + f / 700); shape = (N_MELS, N_FFT // 2 + 1)."""
    mel = 1127.0 * np.log1p(np.arange(N_FFT // 2) * SAMPLE_RATE / N_FFT / 700.0)
    edges = np.linspace(0.0, 1127.0 * math.log1p(F_MAX / 700.0), N_MELS + 2)
    left, centre, right = (edges[i : i + N_MELS, None] for i in range(3))
    up, down = (mel - left) / (centre - left), (right - mel) / (right - centre)
    bands = np.maximum(0.0, np.minimum(up, down))
    return torch.from_numpy(np.pad(bands, ((0, 0), (0, 1)))).float()


class Tagger(nn.Module):
    """AudioSet tagger: waveforms at 32 kHz to clip embeddings and 527 class logits."""

    window: Tensor
    bands: Tensor

    def __init__(self) -> None:
        super().__init__()
        widths = [_width(WIDTH * 16)] + [_width(WIDTH * b[2]) for b in BLOCKS]
        layers: list[nn.Module] = [_conv(1, widths[0], 3, 2, 1, nn.Hardswish())]
        for i, (kernel, hidden, _, se, hs, stride) in enumerate(BLOCKS):
            layers.append(
                _Block(widths[i], kernel, _width(WIDTH * hidden), widths[i + 1], se, hs, stride)
            )
        layers.append(_conv(widths[-1], EMBEDDING_DIM, 1, 1, 1, nn.Hardswish()))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(  # indices as in the checkpoint
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(EMBEDDING_DIM, 512),
            nn.Hardswish(),
            nn.Dropout(0.2),
            nn.Linear(512, 527),
        )
        self.register_buffer("window", torch.hann_window(WINDOW, periodic=False), persistent=False)
        self.register_buffer("bands", _kaldi_mel_bands(), persistent=False)

    def log_mel(self, audio: Tensor) -> Tensor:
        """Features of `audio` (batch, samples at 32 kHz); shape = (batch, 1, 128, frames)."""
        audio = audio[:, 1:] - 0.97 * audio[:, :-1]
        spectrum = torch.stft(
            audio, N_FFT, HOP, WINDOW, self.window, center=True, return_complex=True
        )
        mel = self.bands @ (spectrum.real**2 + spectrum.imag**2)
        return ((torch.log(mel + 1e-5) + 4.5) / 5.0)[:, None]

    def memory(self, audio: Tensor) -> Tensor:
        """`audio` (batch, samples at 32 kHz) as (batch, ~frames / 32, 384); its mean over time is
        the embedding."""
        maps: Tensor = self.features(self.log_mel(audio))
        return maps.mean(2).transpose(1, 2)

    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (batch, 384) and logits (batch, 527) of `audio` (batch, samples at 32 kHz)."""
        embedding = self.memory(audio).mean(1)
        return embedding, self.classifier[2:](embedding)


def load_tagger(folder: Path) -> Tagger:
    """The tagger whose checkpoint is in `folder`, in evaluation mode.

    Raises: CorpusError if it is not there, or damaged.
    """
    tagger = Tagger()
    path = folder / "mn04_as_mAP_432.pt"
    if not path.is_file():
        raise CorpusError(f"{path}: no such file; give the folder that holds the teacher")
    try:
        tagger.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, *DAMAGE):
        raise CorpusError(f"{path}: is damaged; fetch the teacher again") from None
    return tagger.eval().requires_grad_(False)


def load_classes(folder: Path) -> list[str]:
    """The 527 AudioSet class names, in the order of the logits."""
    with open(folder / "audioset_labels.csv", newline="", encoding="utf-8") as file:
        return [row["display_name"] for row in csv.DictReader(file)]
