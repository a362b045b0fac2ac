"""The learning rate over a run."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def warm_cosine(optimiser: Optimizer, warmup: int, steps: int) -> LambdaLR:
    """Linear warm-up, then half a cosine to a hundredth."""

    def rate(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        done = min(1.0, (step - warmup) / max(1, steps - warmup))
        return 0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * done))

    return LambdaLR(optimiser, rate)


def warm_stable_decay(optimiser: Optimizer, warmup: int, decay: int, steps: int) -> LambdaLR:
    """Return a warm-up, a constant rate, and a linear fall to zero in the last `decay` steps.

    A run with this schedule can be made longer or shorter, up to the start of the fall.
    """

    def rate(step: int) -> float:
        return min(1.0, (step + 1) / warmup, max(0.0, (steps - step) / decay))

    return LambdaLR(optimiser, rate)
