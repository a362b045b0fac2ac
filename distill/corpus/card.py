"""The data card of a build: what is in the corpus, where it is from, and how far to trust it."""

from __future__ import annotations

from collections import Counter, defaultdict

from distill.corpus.agreement import ENOUGH
from distill.corpus.build import Built

FEW = 20  # clips: a label with fewer is thin


def card(built: Built) -> str:
    """The data card as Markdown."""
    clips = built.clips
    hours = sum(c.piece.duration_s for c in clips) / 3600
    labels = Counter(c.recording.label for c in clips)
    splits = Counter(c.recording.split for c in clips)
    test = {c.recording.label for c in clips if c.recording.split == "test"}
    lines = [
        "# Data card of the open corpus",
        "",
        "Made by `aac-distill corpus build`; the tables are in `distill/corpus`. The clips are not "
        "in the repository: the command gets them from where they are published.",
        "",
        f"{len(clips)} clips, {hours:.1f} h, {len(labels)} labels, "
        f"{len({c.recording.source for c in clips})} sources. Splits: "
        + ", ".join(f"{splits[s]} {s}" for s in ("train", "val", "test"))
        + f" ({len(test)} labels in test, which holds whole packages that are never trained on).",
        "",
        "## Checks",
        "",
        f"Left out: {sum(built.faults.values())} clips by themselves ("
        + ", ".join(f"{n} {reason}" for reason, n in sorted(built.faults.items()))
        + f"), {len(built.duplicates)} near-duplicates, {built.over} over the limits on a label "
        "or source.",
        "",
        *_labels(built, labels),
        "",
        "## Sources",
        "",
        "| source | version | licence | split | clips | labels |",
        "| --- | --- | --- | --- | ---: | ---: |",
        *_sources(built),
        "",
        "## Rules that caught nothing",
        "",
        *(_idle_rules(built) or ["None."]),
        "",
        "## Weaknesses",
        "",
        *_weaknesses(built, labels),
    ]
    return "\n".join(lines) + "\n"


def _labels(built: Built, labels: Counter[str]) -> list[str]:
    sources: dict[str, set[str]] = defaultdict(set)
    for clip in built.clips:
        sources[clip.recording.label].add(clip.recording.source)
    lines = [
        "## Labels",
        "",
        "Agreement: the share of a label's clips among whose first five tags by the teacher is a "
        "class that the label table calls compatible.",
        "",
        "| label | kind | clips | sources | agreement | first tags | decision |",
        "| --- | --- | ---: | ---: | ---: | --- | --- |",
    ]
    for label in sorted(labels):
        entry, heard = built.recipe.labels.get(label), built.agreement.get(label)
        share = f"{heard.share:.0%}" if heard else ""
        first = "; ".join(heard.heard) if heard else ""
        lines.append(
            f"| {label} | {built.recipe.kind_of(label)} | {labels[label]} | {len(sources[label])} | {share} "
            f"| {first} | {entry.decision if entry else ''} |"
        )
    return lines


def _sources(built: Built) -> list[str]:
    groups = defaultdict(list)
    for clip in built.clips:
        r = clip.recording
        groups[
            r.source, r.version, r.licence, "test" if r.split == "test" else "train, val"
        ].append(r)
    return [
        f"| {' | '.join(key)} | {len(rs)} | {len({r.label for r in rs})} |"
        for key, rs in sorted(groups.items())
    ]


def _idle_rules(built: Built) -> list[str]:
    return [
        f"- {rule.package}: `{rule.pattern}`"
        for rule in built.recipe.rules
        if not built.gathered.caught[rule.package, rule.pattern]
    ]


def _weaknesses(built: Built, labels: Counter[str]) -> list[str]:
    sources: dict[str, set[str]] = defaultdict(set)
    for clip in built.clips:
        sources[clip.recording.label].add(clip.recording.source)
    thin = [label for label in sorted(labels) if labels[label] < FEW]
    alone = [label for label in sorted(labels) if len(sources[label]) == 1]
    absent = sorted(set(built.recipe.labels) - set(labels))
    doubted = [label for label, heard in built.agreement.items() if heard.share < ENOUGH]
    return [
        f"- Labels with fewer than {FEW} clips ({len(thin)}): {', '.join(thin) or 'none'}.",
        f"- Labels from one source alone ({len(alone)}): {', '.join(alone) or 'none'}.",
        f"- Labels of which one source has more than half of the training clips, though there is "
        f"another: {', '.join(_lopsided(built)) or 'none'}.",
        f"- Labels of the table without a clip ({len(absent)}): {', '.join(absent) or 'none'}.",
        f"- Labels with an agreement below {ENOUGH:.0%} ({len(doubted)}): "
        f"{', '.join(doubted) or 'none'}.",
        "- Instruments are rendered from one sound bank; effects of games are often studio-clean.",
    ]


def _lopsided(built: Built) -> list[str]:
    """Labels of several sources of which one has more than half of the clips to train on."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for clip in built.clips:
        if clip.recording.split != "test":
            counts[clip.recording.label][clip.recording.source] += 1
    return [
        label
        for label, sources in sorted(counts.items())
        if len(sources) > 1 and 2 * max(sources.values()) > sum(sources.values())
    ]
