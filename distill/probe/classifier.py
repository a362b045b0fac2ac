"""The probe itself: one hidden layer on embeddings, with balanced labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from distill.errors import CorpusError
from edge.inference.features import Floats

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class ProbeConfig:
    """How a probe is trained. The values were chosen on `val` and `dev`, never on `test`."""

    hidden: int = 512
    dropout: float = 0.5
    epochs: int = 20
    batch: int = 256
    rate: float = 5e-4
    decay: float = 1.0
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


def train_probe(
    embeddings: Floats,
    labels: Sequence[str],
    groups: Mapping[str, Collection[str]] | None = None,
    config: ProbeConfig | None = None,
) -> Probe:
    """Train a probe; the same input and seed give the same probe on the same machine.

    Parameters
    ----------
    embeddings
        (windows, width), of whichever encoder is judged.
    labels
        The label of each window.
    groups
        From the name of a group to its labels. A window that is labelled with a group may be any
        of them; a group is no label of the probe.

    Raises
    ------
    CorpusError
        If there are no two labels.
    """
    config, groups = config or ProbeConfig(), groups or {}
    names = sorted(set(labels) - set(groups))
    if len(names) < 2:
        raise CorpusError("a probe needs training clips of two labels or more")
    place = {name: i for i, name in enumerate(names)}
    kinds = sorted(set(labels))
    target = np.zeros((len(kinds), len(names)), np.bool_)  # the labels that each kind may be
    for i, kind in enumerate(kinds):
        target[i, [place[name] for name in groups.get(kind, [kind]) if name in place]] = True
    kind_of = {kind: i for i, kind in enumerate(kinds)}
    truth = np.array([kind_of[label] for label in labels], np.int64)
    usable = np.asarray(target.any(1))[truth]  # A group may have no label that is trained.
    embeddings, truth = embeddings[usable], truth[usable]
    mean, spread = embeddings.mean(0), embeddings.std(0) + 1e-3
    x = torch.from_numpy((embeddings - mean) / spread)
    weight = torch.from_numpy(_weights(truth, config.balance))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        layers = _fit(x, torch.from_numpy(target[truth]), weight, config)
    return Probe(names, mean, spread, layers.eval())


def _weights(truth: Ids, balance: float) -> Floats:
    """Return the weight of each window; the mean weight is 1."""
    weight = np.bincount(truth)[truth].astype(np.float64) ** -balance
    return (weight / weight.mean()).astype(np.float32)


def _fit(x: Tensor, target: Tensor, weight: Tensor, config: ProbeConfig) -> nn.Module:
    layers = nn.Sequential(
        nn.Linear(x.shape[1], config.hidden),
        nn.GELU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.hidden, target.shape[1]),
    )
    batch = min(config.batch, -(-len(x) // 8))  # a small corpus needs steps, too
    steps = config.epochs * -(-len(x) // batch)
    optimiser = torch.optim.AdamW(layers.parameters(), lr=config.rate, weight_decay=config.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.rate, total_steps=steps, pct_start=0.1
    )
    for _ in range(config.epochs):
        order = torch.randperm(len(x))
        for start in range(0, len(x), batch):
            some = order[start : start + batch]
            score = layers(x[some]).log_softmax(1).masked_fill(~target[some], -torch.inf)
            loss = -(score.logsumexp(1) * weight[some]).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return layers
