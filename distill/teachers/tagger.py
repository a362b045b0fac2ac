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
from distill.models.mobilenet import mobilenet_layers

SAMPLE_RATE = 32_000
N_FFT = 1024
WINDOW = 800  # 25 ms
HOP = 320  # 10 ms
N_MELS = 128
F_MAX = 15_000.0
EMBEDDING_DIM = 384
WIDTH = 0.4


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
        self.features = mobilenet_layers(WIDTH, nn.Sigmoid)
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
