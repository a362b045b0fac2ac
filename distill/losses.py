"""The losses of arXiv 2407.14329, section 2."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.student import PAD


def caption_loss(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Supervised cross-entropy (equation 1) with label smoothing, over the tokens that are words.

    Args: logits (batch, length, vocabulary); targets (batch, length), `PAD` where none.
    """
    return F.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=PAD, label_smoothing=smoothing
    )


class EncoderDistillation(nn.Module):
    """Encoder-level KD: the student's clip embedding is drawn to the teacher's.

    The contrastive kind is InfoNCE over the batch with a learned temperature, both ways, between
    projections to a shared space; the MSE kind compares the student's projection with the
    teacher's embedding itself, scaled to unit variance so that its weight means the same for
    every teacher.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, student: int, teacher: int, shared: int) -> None:
        super().__init__()
        self.student = nn.Linear(student, shared)
        self.teacher = nn.Linear(teacher, shared)
        self.regress = nn.Linear(student, teacher)
        self.log_scale = nn.Parameter(torch.tensor(2.66))  # 1 / temperature of 0.07
        self.register_buffer("mean", torch.zeros(teacher))
        self.register_buffer("std", torch.ones(teacher))

    def contrastive(self, student: Tensor, teacher: Tensor) -> Tensor:
        """InfoNCE of (batch, student) against (batch, teacher) embeddings of the same scenes."""
        one = F.normalize(self.student(student), dim=1)
        two = F.normalize(self.teacher(teacher), dim=1)
        similarity = one @ two.T * self.log_scale.clamp(max=4.6).exp()
        same = torch.arange(len(one), device=one.device)
        return (F.cross_entropy(similarity, same) + F.cross_entropy(similarity.T, same)) / 2.0

    def mse(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Mean squared error of the regressed embedding, in the teacher's standard deviations."""
        return F.mse_loss(self.regress(student), (teacher - self.mean) / self.std)
