"""Words to token ids, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import torch
from torch import Tensor

from distill.models.student import END, PAD, START

SPECIAL = ["<pad>", "<start>", "<end>"]
assert [SPECIAL.index(s) for s in ("<pad>", "<start>", "<end>")] == [PAD, START, END]
ENOUGH = 3  # times that a word of a user's captions must be there to be learnt


class Vocabulary:
    """A fixed list of words; the special tokens come first."""

    def __init__(self, words: list[str]) -> None:
        self.words = SPECIAL + [word for word in words if word not in SPECIAL]
        self._ids = {word: i for i, word in enumerate(self.words)}

    def encode(self, caption: str, length: int) -> list[int]:
        """`caption` between start and end token, cut or padded to `length` ids.

        A word that is not known becomes `PAD`: the losses pass over it.
        """
        ids = [START, *(self._ids.get(word, PAD) for word in caption.split()), END]
        return (ids + [PAD] * length)[:length]

    def batch(self, captions: list[str], most: int) -> Tensor:
        """`captions` as rows of ids, as long as the longest of them needs, and `most` at the most.

        An empty one is all `PAD`: it has no caption.
        """
        rows = [self.encode(text, most) if text else [PAD] * most for text in captions]
        ids = torch.tensor(rows)
        used = (ids != PAD).any(0).nonzero()
        return ids[:, : int(used.max()) + 1 if len(used) else 2]

    def decode(self, ids: Iterable[int]) -> str:
        """The words of `ids`, up to the first end token."""
        words = []
        for i in ids:
            if i == END:
                break
            words.append(self.words[i])
        return " ".join(words)


def vocabulary_of(always: Iterable[str], captions: Iterable[str]) -> Vocabulary:
    """The words `always`, and those of `captions` that are there `ENOUGH` times; sorted."""
    counts = Counter(word for caption in captions for word in caption.split())
    return Vocabulary(sorted({*always} | {word for word, n in counts.items() if n >= ENOUGH}))
