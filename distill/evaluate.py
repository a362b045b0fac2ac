"""How often a bundle names the sound of a held-back clip."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

from tqdm import tqdm

from distill.corpus import Clip
from distill.grammar import Grammar
from edge.captioner import Captioner
from edge.clip import read_clip

RULE = (
    "Rule: a clip counts as named if a clause of its caption is, word for word, one of the clauses "
    "that the grammar has for the clip's label."
)


@dataclass(frozen=True)
class Result:
    """One clip, captioned whole."""

    clip: Clip
    caption: str
    confidence: float
    named: bool
    extra: bool  # another clause names something else


def evaluate(captioner: Captioner, clips: list[Clip], grammar: Grammar) -> list[Result]:
    """Caption each clip as one window."""
    rate = captioner.bundle.features.sample_rate
    results = []
    for clip in tqdm(clips, desc=captioner.bundle.precision, leave=False):
        heard = captioner.describe_audio(read_clip(clip.path, rate))
        clauses = grammar.labels(heard.text)
        hits = sum(clip.label in labels for labels in clauses)
        results.append(
            Result(clip, heard.text, heard.confidence, hits > 0, extra=len(clauses) > hits > 0)
        )
    return results


def metrics(results: list[Result]) -> dict[str, float]:
    """What a manifest says of a bundle's quality."""
    named = sum(result.named for result in results)
    return {"held_back_clips": len(results), "named_share": round(named / len(results), 4)}


def interval(hits: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % confidence interval of a share."""
    z, share = 1.96, hits / total
    centre = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return (centre - spread) / (1 + z * z / total), (centre + spread) / (1 + z * z / total)


def table(results: dict[str, list[Result]], trained: set[str]) -> str:
    """Markdown: for each label, and for all, how many clips each of the bundles named.

    Args: `results` by name of bundle, over the same clips; `trained`, the labels with training
    clips: the total is given for those alone too.
    """
    names = list(results)
    rows: dict[str, list[int]] = defaultdict(lambda: [0] * len(names))
    clips: dict[str, int] = defaultdict(int)
    missed: dict[str, str] = {}
    for i, name in enumerate(names):
        for result in results[name]:
            rows[result.clip.label][i] += result.named
            clips[result.clip.label] += i == 0
            if not result.named and i == len(names) - 1:
                missed.setdefault(result.clip.label, result.caption)
    lines = [
        f"| label | clips | {' | '.join(names)} | an example of what was said instead |",
        f"| --- | ---: | {'---: | ' * len(names)}--- |",
    ]
    for label in sorted(rows):
        mark = "" if label in trained else " (no training clip)"
        counts = " | ".join(str(n) for n in rows[label])
        lines.append(f"| {label}{mark} | {clips[label]} | {counts} | {missed.get(label, '')} |")
    for title, labels in (
        ("all", set(rows)),
        ("labels with training clips", set(rows) & trained),
    ):
        total = sum(clips[label] for label in labels)
        shares = []
        for i in range(len(names)):
            hits = sum(rows[label][i] for label in labels)
            low, high = interval(hits, total)
            shares.append(f"**{hits / total:.1%}** ({low:.0%} to {high:.0%})")
        lines.append(f"| **{title}** | {total} | {' | '.join(shares)} | |")
    extras = " | ".join(f"{sum(r.extra for r in results[name])}" for name in names)
    lines.append(f"| named, with a second sound that has no label | | {extras} | |")
    return "\n".join(lines)
