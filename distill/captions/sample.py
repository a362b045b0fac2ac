"""A readable sample of captions, and the vocabulary: `python -m distill.captions.sample`."""

from __future__ import annotations

import random
from collections.abc import Collection

from distill.captions.caption_parser import vocabulary
from distill.captions.writer import Wordings, load_wordings, write
from distill.scenes.annotations import Event, Truth

CAPTIONS = 300
SCENE_S = 10.0
GENERAL_SHARE = 0.15  # Of labels that are said by their group in the sample.


def random_truth(wordings: Wordings, rng: random.Random) -> Truth:
    """Return up to four events of any labels over an ambience or none; for reading only."""
    labels = rng.sample(sorted(wordings.labels), 5)
    events = []
    for label in labels[: rng.choice([1, 1, 1, 2, 2, 3, 4])]:
        at = rng.uniform(0.0, 0.7 * SCENE_S)
        times = []
        for _ in range(rng.choice([1, 1, 1, 2, 3, 4])):
            length = rng.uniform(0.3, 2.0)
            times.append((at, at + length))
            at += length + rng.uniform(0.4, 1.0)
        distance = rng.choice(["", "", "", "near", "far"])
        events.append(Event(label, tuple(times), rng.uniform(-18.0, 0.0), distance))
    events.sort(key=lambda event: event.start_s)
    ambience = labels[4] if rng.random() < 0.3 else ""
    return Truth(SCENE_S, tuple(events), ambience)


def sample_page() -> str:
    """Return the page of the sample, as Markdown."""
    wordings, rng = load_wordings(), random.Random(1)
    counts = vocabulary(wordings)
    lines = [
        "# A sample of captions",
        "",
        f"{CAPTIONS} captions of random scenes, as `distill/captions/writer.py` writes them from "
        "`wordings.yaml` beside it, and the labels that each was written for (starred labels are "
        "said by the wording of their group). The sounds of a scene are drawn at random here, so "
        "they may be absurd together. Made by `python -m distill.captions.sample > "
        "docs/captions.md`.",
        "",
    ]
    for _ in range(CAPTIONS):
        truth = random_truth(wordings, rng)
        labels = [*(event.label for event in truth.events), truth.ambience]
        general = {label for label in labels if label and rng.random() < GENERAL_SHARE}
        lines.append(f"- {write(truth, wordings, rng, general)} ({_labels(truth, general)})")
    lines += [
        "",
        "# The vocabulary",
        "",
        f"{len(counts)} words, each with the number of clauses and phrases that it stands in.",
        "",
        ", ".join(f"{word} {count}" for word, count in sorted(counts.items())),
    ]
    return "\n".join(lines) + "\n"


def _labels(truth: Truth, general: Collection[str]) -> str:
    """Return the labels of `truth`, with counts; those in `general` with a star."""
    events = [
        event.label + "\\*" * (event.label in general) + f" x{len(event.times_s)}"
        for event in truth.events
    ]
    background = truth.ambience + "\\*" * (truth.ambience in general)
    return "; ".join(events) + (f"; over {background}" if background else "")


if __name__ == "__main__":
    print(sample_page(), end="")
