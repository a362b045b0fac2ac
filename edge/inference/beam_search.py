"""Beam search over a backend: one decoder step for all beams. One beam is greedy search."""

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
    """A token sequence without the start and end tokens."""

    tokens: list[int]
    score: float  # Mean log-probability of the tokens, including the end token.


def search(backend: Backend, memory: Floats, spec: DecoderSpec, options: SearchSpec) -> Hypothesis:
    """Return the best of the first `options.beam` sequences that end.

    Unfinished beams are ranked by the sum of their log-probabilities, finished ones by the mean.
    Every beam ends at `options.max_tokens`. This is the search of the paper's published code. It
    continues if two beams end in the same step and take the count past `options.beam`.

    Parameters
    ----------
    backend
        The loaded model.
    memory : shape = (layers, 2, heads, length, width)
        Output of `backend.encode`.
    spec
        Special tokens of the decoder.
    options
        Settings of the search.

    Returns
    -------
    Hypothesis
        The sequence with the highest mean log-probability.

    Raises
    ------
    ModelError
        The logits hold NaN or infinity, or allow no token.
    """
    past = backend.start()
    beams: list[list[int]] = [[]]  # Tokens of each unfinished beam.
    scores: Floats = np.zeros(1, np.float32)  # Summed log-probability of each unfinished beam.
    last = [spec.start]
    ended: list[Hypothesis] = []
    for length in range(1, options.max_tokens + 1):
        logits, past = backend.step(last, past, memory)
        if not np.isfinite(logits.max(1)).all():  # -inf forbids one token, but not all of them.
            raise ModelError("gives values that are no numbers (NaN or infinity)")
        logits[:, options.forbidden] = -np.inf
        steps = log_softmax(logits)
        for row, tokens in zip(steps, beams, strict=True):
            if repeated := repeating(tokens, options.no_repeat_ngram):
                row[repeated] = -np.inf
        steps += scores[:, None]
        parents, last, next_scores = [], [], []
        next_beams = []
        for index, total in _largest(steps.ravel(), options.beam):
            parent, token = divmod(index, steps.shape[1])
            tokens = [*beams[parent], token]
            if token == spec.end or length == options.max_tokens:
                words = tokens[:-1] if token == spec.end else tokens
                ended.append(Hypothesis(words, total / length))
            else:
                parents.append(parent)
                last.append(token)
                next_scores.append(total)
                next_beams.append(tokens)
        best = max((hypothesis.score for hypothesis in ended), default=-np.inf)
        # A sum of log-probabilities never rises. The best possible mean of an unfinished beam is
        # therefore its present sum over the maximum length.
        bound = max(next_scores, default=-np.inf) / options.max_tokens
        if len(ended) == options.beam or bound <= best:
            break
        past, beams = past[:, :, parents], next_beams
        scores = np.array(next_scores, np.float32)
    if not ended:
        raise ModelError("allows no token that could follow")
    return max(ended, key=lambda hypothesis: hypothesis.score)


def log_softmax(logits: Floats) -> Floats:
    """Return the log-probabilities of `logits`; both have the shape (rows, vocabulary)."""
    shifted = logits - logits.max(1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(1, keepdims=True))
    return shifted


def probabilities(backend: Backend, memory: Floats, tokens: list[int]) -> Floats:
    """Return the probabilities of the token that follows each of `tokens`.

    Parameters
    ----------
    backend
        The loaded model.
    memory : shape = (layers, 2, heads, length, width)
        Output of `backend.encode`.
    tokens
        Tokens to feed to the decoder, beginning with the start token.

    Returns
    -------
    shape = (tokens, vocabulary)
    """
    past, rows = backend.start(), []
    for token in tokens:
        logits, past = backend.step([token], past, memory)
        rows.append(np.exp(log_softmax(logits))[0])
    return np.stack(rows)


def repeating(tokens: list[int], n: int) -> list[int]:
    """Return the tokens that would complete an n-gram which `tokens` already contains."""
    if n == 0 or len(tokens) < n:
        return []
    tail = tokens[len(tokens) - n + 1 :]
    starts = range(len(tokens) - n + 1)
    return [tokens[i + n - 1] for i in starts if tokens[i : i + n - 1] == tail]


def _largest(values: Floats, count: int) -> list[tuple[int, float]]:
    """Return index and value of the `count` largest finite `values`, in descending order.

    The first of equal values comes first. The values found are replaced by -inf in `values`.
    """
    found = []
    for _ in range(count):
        index = int(values.argmax())
        value = float(values[index])
        if not math.isfinite(value):
            break
        found.append((index, value))
        values[index] = -np.inf
    return found
