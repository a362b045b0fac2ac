"""Beam search in PyTorch over many clips at once: what a teacher writes."""

from __future__ import annotations

import torch
from torch import Tensor

from distill.models.student import END, PAD, START, Decoder


@torch.inference_mode()
def beam_search(decoder: Decoder, memory: Tensor, beam: int) -> list[list[int]]:
    """The best token sequence for each of `memory` (batch, length, channels), without its end.

    Beams are ranked by summed log-probability while they grow, and at the end by its mean over
    their tokens, the end token included.
    """
    batch = len(memory)
    rows = torch.arange(batch, device=memory.device)[:, None]
    projected = [
        (k.repeat_interleave(beam, 0), v.repeat_interleave(beam, 0))
        for k, v in decoder.project(memory)
    ]
    empty = projected[0][0][:, :, :0]
    cache = [(empty, empty) for _ in projected]
    tokens = torch.full((batch, beam, 1), START, device=memory.device)
    scores = torch.zeros(batch, beam, device=memory.device)
    scores[:, 1:] = -torch.inf  # all beams begin alike: one of them is enough
    ended = torch.zeros(batch, beam, dtype=torch.bool, device=memory.device)
    lengths = torch.zeros(batch, beam, device=memory.device)
    for position in range(decoder.spec.max_tokens):
        at = torch.tensor([position], device=memory.device)
        x = decoder.embed(tokens[:, :, -1].reshape(-1, 1), at)
        for i, layer in enumerate(decoder.blocks()):
            key, value = layer.own.project(x)
            cache[i] = (torch.cat([cache[i][0], key], 2), torch.cat([cache[i][1], value], 2))
            x = layer(x, cache[i], projected[i], causal=False)
        logits = decoder.logits(x)[:, 0].float()
        logits[:, [PAD, START]] = -torch.inf
        steps = logits.log_softmax(1).reshape(batch, beam, -1)
        steps[ended] = -torch.inf
        steps[..., PAD][ended] = 0.0  # a beam that has ended stays as it is
        words = steps.shape[2]
        scores, best = (scores[..., None] + steps).flatten(1).topk(beam)
        parent, token = best // words, best % words
        tokens = torch.cat([tokens[rows, parent], token[..., None]], 2)
        lengths = lengths[rows, parent] + ~ended[rows, parent]
        ended = ended[rows, parent] | (token == END)
        flat = (rows * beam + parent).flatten()
        cache = [(k[flat], v[flat]) for k, v in cache]
        if ended.all():
            break
    winner = (scores / lengths).argmax(1)
    chosen = tokens[rows[:, 0], winner, 1:].tolist()
    return [[t for t in row if t not in (PAD, END)] for row in chosen]
