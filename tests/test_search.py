"""Beam search against an exhaustive one, on a decoder whose probabilities are given."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from edge.inference.beam_search import log_softmax, repeating, search
from edge.inference.bundle import DecoderSpec, SearchSpec
from edge.inference.features import Floats

START, END, WORDS = 1, 2, 6
SPEC = DecoderSpec(layers=1, heads=1, head_width=1, start=START, end=END, pad=0)


class Chain:
    """A backend whose logits depend on the last two tokens; `past` is the tokens so far."""

    def __init__(self, seed: int, ends: bool = True) -> None:
        self._table = np.random.default_rng(seed).normal(0.0, 2.0, (WORDS, WORDS, WORDS))
        if not ends:  # as long as it may say anything else
            self._table[..., END] = -40.0
        self.steps: list[int] = []  # rows of each

    def start(self) -> Floats:
        return np.zeros((1, 2, 1, 1, 0, 1), np.float32)

    def step(self, tokens: list[int], past: Floats, _: Floats) -> tuple[Floats, Floats]:
        assert past.shape[2] == len(tokens)
        self.steps.append(len(tokens))
        new = np.broadcast_to(np.array(tokens)[:, None, None, None], (1, 2, len(tokens), 1, 1, 1))
        longer = np.concatenate([past, new], axis=4).astype(np.float32)
        before = longer[0, 0, :, 0, -2, 0].astype(int) if longer.shape[4] > 1 else [0] * len(tokens)
        return np.stack([self.after(b, t) for b, t in zip(before, tokens, strict=True)]), longer

    def after(self, before: int, token: int) -> Floats:
        return self._table[before, token].astype(np.float32)


def found(chain: Chain, **options: object) -> tuple[list[int], float]:
    given = {"beam": 1, "max_tokens": 4, "no_repeat_ngram": 0, "forbidden": [], **options}
    result = search(chain, np.zeros(0, np.float32), SPEC, SearchSpec(**given))  # type: ignore
    return result.tokens, result.score


def scored(chain: Chain, tokens: tuple[int, ...]) -> float:
    """Mean log-probability of `tokens`, the end among them."""
    total, before, last = 0.0, 0, START
    for token in tokens:
        total += float(log_softmax(chain.after(before, last)[None])[0, token])
        before, last = last, token
    return total / len(tokens)


def sequences(length: int) -> list[tuple[int, ...]]:
    """All that end with END or at `length`."""
    whole = [s for n in range(1, length) for s in product(range(WORDS), repeat=n)]
    ended = [s for s in whole if s[-1] == END and END not in s[:-1]]
    return ended + [s for s in product(range(WORDS), repeat=length) if END not in s[:-1]]


@pytest.mark.parametrize("seed", range(5))
def test_enough_beams_find_the_best_of_all_sequences(seed: int) -> None:
    chain = Chain(seed)
    best = max(sequences(4), key=lambda s: scored(chain, s))
    tokens, score = found(chain, beam=2000)
    assert tokens == [t for t in best if t != END]
    assert score == pytest.approx(scored(chain, best), abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_one_beam_takes_the_likeliest_token_each_time(seed: int) -> None:
    chain = Chain(seed)
    tokens, before, last = [], 0, START
    while len(tokens) < 4 and END not in tokens:
        tokens.append(int(chain.after(before, last).argmax()))
        before, last = last, tokens[-1]
    assert found(chain) == (
        [t for t in tokens if t != END],
        pytest.approx(scored(chain, tuple(tokens)), abs=1e-5),
    )


def test_all_beams_are_one_step() -> None:
    chain = Chain(0)
    found(chain, beam=3, max_tokens=20)
    assert chain.steps[0] == 1
    assert max(chain.steps) == 3
    assert len(chain.steps) <= 20


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("seed", range(6))
def test_no_ngram_is_said_twice(seed: int, n: int) -> None:
    chain = Chain(seed, ends=False)
    tokens, _ = found(chain, beam=3, max_tokens=30, no_repeat_ngram=n)
    assert len(tokens) > n
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    assert len(grams) == len(set(grams))


def test_repeats_are_allowed_unless_forbidden() -> None:
    free = [found(Chain(seed, ends=False), max_tokens=30)[0] for seed in range(6)]
    assert all(len(tokens) == 30 for tokens in free)


def test_when_nothing_else_may_follow_it_ends() -> None:
    """Four words, none twice."""
    tokens, _ = found(Chain(0, ends=False), max_tokens=30, no_repeat_ngram=1, forbidden=[0])
    assert sorted(tokens) == [1, 3, 4, 5]


def test_forbidden_tokens_are_not_said() -> None:
    for seed in range(6):
        assert 3 not in found(Chain(seed), beam=3, max_tokens=10, forbidden=[3])[0]


def test_the_tokens_that_would_repeat() -> None:
    assert repeating([5, 7, 9, 5, 7], 3) == [9]
    assert repeating([5, 7, 9, 5], 2) == [7]
    assert repeating([5, 7], 1) == [5, 7]
    assert repeating([5, 7, 5], 0) == []
    assert repeating([5], 3) == []
