"""The probe itself: one hidden layer on embeddings, with balanced labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge.features import Floats

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class ProbeConfig:
    """How a probe is trained. The values were chosen on `val` and `dev`, never on `test`."""

    hidden: int = 512
    dropout: float = 0.5
    epochs: int = 30
    batch: int = 256
    rate: float = 2e-3
    decay: float = 1e-2
    balance: float = 0.5  # a label's windows weigh count^-balance each; 1 makes all labels equal
    seed: int = 0


class Probe:
    """A trained probe."""

    def __init__(self, labels: list[str], mean: Floats, spread: Floats, layers: nn.Module) -> None:
        self.labels = labels
        self._mean, self._spread = mean, spread
        self._layers = layers

    def probabilities(self, embeddings: Floats) -> Floats:
        """Return the probability of each label; from (windows, width) to (windows, labels)."""
        x = torch.from_numpy((embeddings - self._mean) / self._spread)
        with torch.inference_mode():
            return self._layers(x).softmax(1).numpy()


def train_probe(embeddings: Floats, labels: list[str], config: ProbeConfig | None = None) -> Probe:
    """Train a probe; the same input and seed give the same probe on the same machine.

    Parameters
    ----------
    embeddings
        (windows, width), of whichever encoder is judged.
    labels
        The label of each window.
    """
    config = config or ProbeConfig()
    names = sorted(set(labels))
    place = {name: i for i, name in enumerate(names)}
    truth = np.array([place[label] for label in labels], np.int64)
    mean, spread = embeddings.mean(0), embeddings.std(0) + 1e-3
    x = torch.from_numpy((embeddings - mean) / spread)
    y = torch.from_numpy(truth)
    weight = torch.from_numpy(_weights(truth, len(names), config.balance))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        layers = _fit(x, y, weight, len(names), config)
    return Probe(names, mean, spread, layers.eval())


def _weights(truth: Ids, labels: int, balance: float) -> Floats:
    """Return the weight of each window; the mean weight is 1."""
    count = np.bincount(truth, minlength=labels).astype(np.float64)
    weight = count[truth] ** -balance
    return (weight / weight.mean()).astype(np.float32)


def _fit(x: Tensor, y: Tensor, weight: Tensor, labels: int, config: ProbeConfig) -> nn.Module:
    layers = nn.Sequential(
        nn.Linear(x.shape[1], config.hidden),
        nn.GELU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.hidden, labels),
    )
    steps = config.epochs * -(-len(x) // config.batch)
    optimiser = torch.optim.AdamW(layers.parameters(), lr=config.rate, weight_decay=config.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.rate, total_steps=steps, pct_start=0.1
    )
    loss_of = nn.CrossEntropyLoss(reduction="none")
    for _ in range(config.epochs):
        for some in torch.randperm(len(x)).split(config.batch):
            loss = (loss_of(layers(x[some]), y[some]) * weight[some]).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return layers
