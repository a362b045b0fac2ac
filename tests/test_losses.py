"""The losses, each against its formula worked out step by step."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from distill.models.student import PAD
from distill.training.losses import (
    Projections,
    contrastive_loss,
    mse_loss,
    sequence_loss,
    supervised_loss,
)

Loss = Callable[[Tensor, Tensor], Tensor]
# (clip, position, word): what counts of TARGETS
TARGETS = torch.tensor([[1, 4, PAD], [2, PAD, PAD]])
COUNTED = [(0, 0, 1), (0, 1, 4), (1, 0, 2)]


def logits_of(seed: int) -> Tensor:
    return torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(seed))


def log_probability(logits: Tensor, word: int) -> float:
    """log softmax, by its definition."""
    values = logits.tolist()
    return values[word] - math.log(sum(math.exp(v) for v in values))


@pytest.mark.parametrize("loss", [supervised_loss, sequence_loss])
def test_it_is_the_mean_negative_log_probability_of_the_words(loss: Loss) -> None:
    logits = logits_of(0)
    by_hand = -sum(log_probability(logits[b, i], word) for b, i, word in COUNTED) / len(COUNTED)
    assert loss(logits, TARGETS).item() == pytest.approx(by_hand, abs=1e-5)


def test_smoothing_spreads_its_share_over_all_words() -> None:
    logits, share = logits_of(1), 0.1
    total = 0.0
    for b, i, word in COUNTED:
        each = [log_probability(logits[b, i], w) for w in range(5)]
        total -= (1 - share) * each[word] + share * sum(each) / len(each)
    assert supervised_loss(logits, TARGETS, share).item() == pytest.approx(total / 3, abs=1e-5)
    assert sequence_loss(logits, TARGETS, share) == supervised_loss(logits, TARGETS, share)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_padding_does_not_count(smoothing: float) -> None:
    logits = logits_of(2)
    before = supervised_loss(logits, TARGETS, smoothing)
    logits[TARGETS == PAD] += 7.0 * torch.randn(3, 5)
    assert supervised_loss(logits, TARGETS, smoothing) == before
    longer = torch.cat([TARGETS, torch.full((2, 4), PAD)], 1)
    with_more = torch.cat([logits, torch.randn(2, 4, 5)], 1)
    assert supervised_loss(with_more, longer, smoothing).item() == pytest.approx(before.item())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_batch_without_any_caption_costs_nothing(smoothing: float) -> None:
    """Audio alone: zero, not a division by it; nor does it move a weight."""
    logits = logits_of(3).requires_grad_()
    loss = supervised_loss(logits, torch.full((2, 3), PAD), smoothing)
    assert loss.item() == 0.0
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert not logits.grad.any()


def test_mse_is_the_mean_of_the_squares() -> None:
    one, two = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 0.0], [0.0, 8.0]])
    assert mse_loss(one, two).item() == pytest.approx((0 + 4 + 9 + 16) / 4)


def test_mse_is_in_standard_deviations_of_the_teacher() -> None:
    kd = Projections(4, 4, 8)
    with torch.no_grad():
        kd.regress.weight.copy_(torch.eye(4))
        kd.regress.bias.zero_()
        kd.mean.fill_(1.0)
        kd.std.fill_(2.0)
    teacher = torch.full((3, 4), 5.0)
    assert kd.mse(torch.full((3, 4), 2.0), teacher).item() == 0.0
    assert kd.mse(torch.full((3, 4), 3.0), teacher).item() == pytest.approx(1.0)


def test_mean_and_spread_are_measured_and_a_dead_dimension_does_not_explode() -> None:
    kd = Projections(4, 2, 8)
    kd.measure(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
    assert kd.mean.tolist() == [2.0, 5.0]
    assert kd.std.tolist() == pytest.approx([math.sqrt(2.0) + 0.05, 0.05])


def cosine(one: list[float], two: list[float]) -> float:
    dot = sum(a * b for a, b in zip(one, two, strict=True))
    return dot / math.sqrt(sum(a * a for a in one) * sum(b * b for b in two))


def test_contrastive_is_cross_entropy_of_cosines_both_ways() -> None:
    """The two ways differ: a mean of them is not either."""
    random = torch.Generator().manual_seed(4)
    student, teacher = (torch.randn(3, 6, generator=random) for _ in range(2))
    temperature = 0.2
    s = [
        [cosine(a, b) / temperature for b in teacher.tolist()] for a in student.tolist()
    ]  # student's row, teacher's column
    to_teacher = [-(s[i][i] - math.log(sum(math.exp(x) for x in s[i]))) for i in range(3)]
    columns = [[s[j][i] for j in range(3)] for i in range(3)]
    to_student = [-(s[i][i] - math.log(sum(math.exp(x) for x in columns[i]))) for i in range(3)]
    assert sum(to_teacher) != pytest.approx(sum(to_student), abs=1e-2)
    loss = contrastive_loss(student, teacher, torch.tensor(math.log(1 / temperature)))
    assert loss.item() == pytest.approx((sum(to_teacher) + sum(to_student)) / 6, abs=1e-5)


def test_contrastive_is_least_for_matching_pairs_and_zero_for_one_clip() -> None:
    torch.manual_seed(0)
    kd = Projections(8, 8, 16)
    kd.teacher.load_state_dict(kd.student.state_dict())
    x = torch.randn(6, 8)
    projected = torch.nn.functional.normalize(kd.student(x), dim=1)
    by_hand = -torch.log_softmax(projected @ projected.T * math.exp(2.66), 1).diagonal().mean()
    assert kd.contrastive(x, x).item() == pytest.approx(by_hand.item(), abs=1e-4)
    assert kd.contrastive(x, x) < kd.contrastive(x, x.roll(1, 0))
    assert kd.contrastive(x[:1], x[1:2]).item() == 0.0


def test_the_temperature_is_learnt_but_never_falls_below_a_hundredth() -> None:
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(5))
    y = x.roll(1, 0)
    least = contrastive_loss(x, y, torch.tensor(4.6))
    assert contrastive_loss(x, y, torch.tensor(9.0)) == least
    assert contrastive_loss(x, y, torch.tensor(4.0)) < least
    kd = Projections(6, 6, 8)
    kd.contrastive(x, y).backward()  # type: ignore[no-untyped-call]
    assert kd.log_scale.grad is not None
    assert kd.log_scale.grad.item() != 0.0
