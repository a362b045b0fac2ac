"""Beam search over a backend, all beams in one step; with one beam it is greedy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge.errors import ModelError
from edge.inference.backends import Backend
from edge.inference.bundle import DecoderSpec, SearchSpec
from edge.inference.features import Floats


@dataclass(frozen=True)
class Hypothesis:
    """A token sequence, without start and end."""

    tokens: list[int]
    score: float  # mean log-probability of its tokens, the end among them


def search(backend: Backend, memory: Floats, spec: DecoderSpec, options: SearchSpec) -> Hypothesis:
    """The best of the first `options.beam` sequences that end.

    Beams are ranked by summed log-probability while they grow, and by its mean once they have
    ended; at `max_tokens` every beam ends. It is the search of the paper's published code, which
    goes on where two that end together take the count past `options.beam`.

    Raises
    ------
    ModelError
        The logits hold NaN or infinity, or allow no token.
    """
    past = backend.start()
    grown: list[list[int]] = [[]]  # the tokens of each beam that has not ended
    sums: Floats = np.zeros(1, np.float32)
    last = [spec.start]
    ended: list[Hypothesis] = []
    for length in range(1, options.max_tokens + 1):
        logits, past = backend.step(last, past, memory)
        if not np.isfinite(logits.max(1)).all():  # -inf forbids one token, but not all of them.
            raise ModelError("gives values that are no numbers (NaN or infinity)")
        logits[:, options.forbidden] = -np.inf
        steps = log_softmax(logits)
        for row, tokens in zip(steps, grown, strict=True):
            if again := repeating(tokens, options.no_repeat_ngram):
                row[again] = -np.inf
        steps += sums[:, None]
        parents, last, sums_of = [], [], []
        longer = []
        for place, total in _largest(steps.ravel(), options.beam):
            parent, token = divmod(place, steps.shape[1])
            tokens = [*grown[parent], token]
            if token == spec.end or length == options.max_tokens:
                said = tokens[:-1] if token == spec.end else tokens
                ended.append(Hypothesis(said, total / length))
            else:
                parents.append(parent)
                last.append(token)
                sums_of.append(total)
                longer.append(tokens)
        best = max((hypothesis.score for hypothesis in ended), default=-np.inf)
        # No beam gains by growing: at the best, its sum stays as it is to the end.
        if len(ended) == options.beam or max(sums_of, default=-np.inf) / options.max_tokens <= best:
            break
        past, grown, sums = past[:, :, parents], longer, np.array(sums_of, np.float32)
    if not ended:
        raise ModelError("allows no token that could follow")
    return max(ended, key=lambda hypothesis: hypothesis.score)


def log_softmax(logits: Floats) -> Floats:
    """Log-probabilities of `logits` (rows, vocabulary)."""
    shifted = logits - logits.max(1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(1, keepdims=True))
    return shifted


def probabilities(backend: Backend, memory: Floats, tokens: list[int]) -> Floats:
    """Of what follows each of `tokens`, the start token first; shape = (tokens, vocabulary)."""
    past, rows = backend.start(), []
    for token in tokens:
        logits, past = backend.step([token], past, memory)
        rows.append(np.exp(log_softmax(logits))[0])
    return np.stack(rows)


def repeating(tokens: list[int], n: int) -> list[int]:
    """The tokens that would make the last `n` of `tokens` and themselves an n-gram said before."""
    if n == 0 or len(tokens) < n:
        return []
    tail = tokens[len(tokens) - n + 1 :]
    starts = range(len(tokens) - n + 1)
    return [tokens[i + n - 1] for i in starts if tokens[i : i + n - 1] == tail]


def _largest(values: Floats, count: int) -> list[tuple[int, float]]:
    """Places of the `count` largest finite `values` and these, largest first; of equals the first.

    Each is taken out of `values`.
    """
    found = []
    for _ in range(count):
        place = int(values.argmax())
        value = float(values[place])
        if not math.isfinite(value):
            break
        found.append((place, value))
        values[place] = -np.inf
    return found
