"""Words to token ids."""

from __future__ import annotations

from export.student import END, PAD, START

SPECIAL = ["<pad>", "<start>", "<end>"]
assert [SPECIAL.index(s) for s in ("<pad>", "<start>", "<end>")] == [PAD, START, END]


class Vocabulary:
    """A fixed list of words; the special tokens come first."""

    def __init__(self, words: list[str]) -> None:
        self.words = SPECIAL + [word for word in words if word not in SPECIAL]
        self._ids = {word: i for i, word in enumerate(self.words)}

    def encode(self, caption: str, length: int) -> list[int]:
        """`caption` between start and end token, padded to `length` ids."""
        ids = [START, *(self._ids[word] for word in caption.split()), END]
        if len(ids) > length:
            raise ValueError(f"caption of {len(ids)} tokens, limit {length}: {caption!r}")
        return ids + [PAD] * (length - len(ids))
