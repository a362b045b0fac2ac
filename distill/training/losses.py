"""The losses of arXiv 2407.14329, section 2: L = L_sup + L_seq + L_enc, each with a weight here."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.models.student import PAD


def supervised_loss(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """L_sup = -1/N sum_n log p(y_n | y_<n, A): cross-entropy with the true caption y of audio A.

    Args: logits (batch, length, vocabulary); targets (batch, length), `PAD` where there is no
        word: those do not count, so a clip without a caption is all `PAD`. `smoothing` is the
        share of each target that is spread over all words (Szegedy et al. 2016).
    """
    summed = F.cross_entropy(
        logits.flatten(0, 1),
        targets.flatten(),
        ignore_index=PAD,
        label_smoothing=smoothing,
        reduction="sum",
    )
    return summed / (targets != PAD).sum().clamp(min=1)


def sequence_loss(logits: Tensor, pseudo: Tensor, smoothing: float = 0.0) -> Tensor:
    """L_seq = -1/N sum_n log p(z_n | z_<n, A): the same, z being what the teacher writes of A.

    The teacher's most likely sequence, found by beam search, stands for its whole distribution
    (Kim and Rush, *Sequence-Level Knowledge Distillation*, 2016). Shapes as in `supervised_loss`.
    """
    return supervised_loss(logits, pseudo, smoothing)


def mse_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """L_enc-mse = 1/D ||W e_S - e_T||^2: embeddings of the same audio are drawn together.

    Args: the student's projected embedding W e_S and the teacher's e_T, (batch, D) each.
    """
    return F.mse_loss(student, teacher)


def contrastive_loss(student: Tensor, teacher: Tensor, log_scale: Tensor) -> Tensor:
    """L_enc-contra, InfoNCE both ways over a batch (van den Oord et al. 2018, Radford et al. 2021).

    -1/2B sum_i [log softmax_j(s_ij / t)_i + log softmax_j(s_ji / t)_i], where s_ij is the cosine of
    the student's projected embedding of clip i and the teacher's of clip j, and t a temperature
    that is learned.

    Args: both projected to one space, (batch, shared); `log_scale` = log(1 / t).
    """
    similarity = F.normalize(student, dim=1) @ F.normalize(teacher, dim=1).T
    similarity = similarity * log_scale.clamp(max=4.6).exp()  # t >= 0.01, as in CLIP
    same = torch.arange(len(student), device=student.device)
    return (F.cross_entropy(similarity, same) + F.cross_entropy(similarity.T, same)) / 2.0


class Projections(nn.Module):
    """Where the embeddings of student and teacher meet; needed in training alone."""

    mean: Tensor
    std: Tensor

    def __init__(self, student: int, teacher: int, shared: int = 1024) -> None:
        super().__init__()
        self.student = nn.Linear(student, shared)
        self.teacher = nn.Linear(teacher, shared)
        self.regress = nn.Linear(student, teacher)
        self.log_scale = nn.Parameter(torch.tensor(2.66))  # a temperature of 0.07
        # The MSE is in the teacher's standard deviations: its weight then means the same for all.
        self.register_buffer("mean", torch.zeros(teacher))
        self.register_buffer("std", torch.ones(teacher))

    def measure(self, teacher: Tensor) -> None:
        """Take mean and spread from a sample of the teacher's embeddings (n, D)."""
        self.mean.copy_(teacher.mean(0))
        self.std.copy_(teacher.std(0) + 0.05)

    def contrastive(self, student: Tensor, teacher: Tensor) -> Tensor:
        return contrastive_loss(self.student(student), self.teacher(teacher), self.log_scale)

    def mse(self, student: Tensor, teacher: Tensor) -> Tensor:
        return mse_loss(self.regress(student), (teacher - self.mean) / self.std)
