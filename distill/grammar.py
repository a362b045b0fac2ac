"""Captions from labels, and labels from captions, by one table: `grammar.yaml`."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import yaml

QUIET = "Quiet"  # the label of a scene in which nothing sounds


def _draw(wordings: list[str], rng: random.Random) -> str:
    """Three times in five the first wording: a model that has one to prefer flickers less."""
    if len(wordings) == 1 or rng.random() < 0.6:
        return wordings[0]
    return rng.choice(wordings[1:])


@dataclass(frozen=True)
class Grammar:
    """The clauses of each label, and the words that join two clauses."""

    clauses: dict[str, list[str]]
    together: list[str]
    sequence: list[str]

    def caption(self, labels: list[str], in_sequence: bool, rng: random.Random) -> str:
        """One wording, drawn by `rng`, for one sound or for two (together, or in sequence)."""
        clauses = [_draw(self.clauses[label], rng) for label in labels]
        return f" {_draw(self.sequence if in_sequence else self.together, rng)} ".join(clauses)

    def labels(self, caption: str) -> list[set[str]]:
        """For each clause of `caption`, the labels it names; an empty set where it names none."""
        joints = {*self.together, *self.sequence}
        clauses: list[list[str]] = [[]]
        for word in caption.split():
            if word in joints:
                clauses.append([])
            else:
                clauses[-1].append(word)
        return [
            {label for label, known in self.clauses.items() if " ".join(words) in known}
            for words in clauses
        ]

    def names(self, caption: str, label: str) -> bool:
        """Whether a clause of `caption` is, word for word, one of the clauses of `label`."""
        return any(label in labels for labels in self.labels(caption))

    def words(self) -> list[str]:
        """Every word a caption can hold, sorted."""
        clauses = [clause for known in self.clauses.values() for clause in known]
        return sorted({w for text in clauses + self.together + self.sequence for w in text.split()})


def load_grammar() -> Grammar:
    """The grammar in `grammar.yaml`, beside this module."""
    table = yaml.safe_load(Path(__file__).with_name("grammar.yaml").read_text(encoding="utf-8"))
    return Grammar(
        clauses={**table["labels"], QUIET: table["quiet"]},
        together=table["connectors"]["together"],
        sequence=table["connectors"]["sequence"],
    )
