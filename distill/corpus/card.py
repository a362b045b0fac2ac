"""The data card of a build: what is in the corpus, where it is from, and how far to trust it."""

from __future__ import annotations

from collections import Counter, defaultdict

from distill.corpus.agreement import ENOUGH
from distill.corpus.build import Built, row
from distill.corpus.credits import credits, table
from distill.corpus.selection import THIN_CLIPS, THIN_SOURCES, Candidate
from distill.corpus.sources import WHOLE

FEW = 20  # Training clips: a label with fewer is learnt badly.
SPLITS = ("train", "val", "dev", "test")


def card(built: Built) -> str:
    """Return the data card as Markdown."""
    clips, recipe = built.clips, built.recipe
    hours = sum(c.piece.duration_s for c in clips) / 3600
    labels = {c.recording.label for c in clips} & set(recipe.labels)
    sources = {c.recording.source for c in clips}
    rows = [row(clip, built.thin, recipe) for clip in clips]
    lines = [
        "# Data card of the open corpus",
        "",
        "Made by `aac-distill corpus build`; the tables are in `distill/corpus`. The clips are not "
        "in the repository: the command gets them from where they are published.",
        "",
        f"{len(clips)} clips, {hours:.1f} h, {len(labels)} labels in "
        f"{len({recipe.group_of(label) for label in labels})} groups, {len(sources)} sources.",
        "",
        *_splits(clips),
        "",
        "## Checks",
        "",
        *_checks(built),
        "",
        *_groups(built),
        "",
        *_labels(built),
        "",
        "## Sources",
        "",
        "Licences are those that a source states for a file or, where it does not, for all of its "
        "files. The authors that a source names are listed; `files.csv` has them file by file.",
        "",
        *table(credits(rows), recipe),
        "",
        "ESC-10: K. J. Piczak, *ESC: Dataset for Environmental Sound Classification*, ACM "
        "Multimedia 2015.",
        "",
        "## Rules that caught nothing",
        "",
        *(_idle_rules(built) or ["None."]),
        "",
        "## Weaknesses",
        "",
        *_weaknesses(built),
    ]
    return "\n".join(lines) + "\n"


def _splits(clips: list[Candidate]) -> list[str]:
    purpose = {
        "train": "trained on",
        "val": "other recordings of the sources of train",
        "dev": "whole sources, for choosing thresholds",
        "test": "whole sources, for reporting only",
    }
    lines = [
        "| split | clips | hours | labels | sources | |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for split in SPLITS:
        own = [c for c in clips if c.recording.split == split]
        hours = sum(c.piece.duration_s for c in own) / 3600
        labels = {c.recording.label for c in own}
        sources = {c.recording.source for c in own}
        lines.append(f"| {split} | {len(own)} | {hours:.1f} | {len(labels)} | {len(sources)} "
                     f"| {purpose[split]} |")  # fmt: skip
    return lines


def _checks(built: Built) -> list[str]:
    faults = ", ".join(f"{n} {reason}" for reason, n in sorted(built.faults.items())) or "none"
    crossing = sum(_side(one) != _side(two) for one, two in built.duplicates)
    lines = [
        f"Left out: {sum(built.faults.values())} clips by themselves ({faults}), "
        f"{built.dropped} by a decision in `decisions.csv` (which gives {built.relabelled} another "
        f"label), {len(built.duplicates)} near-duplicates ({crossing} of them of a clip in another "
        f"split: no recording is in two), {built.over} over the limits on a label or source."
    ]
    gathered = built.gathered
    if gathered.gone:
        lines += ["", "Sources that could not be had:", "", *(f"- {g}" for g in gathered.gone)]
    if gathered.missing:
        lost = ", ".join(f"{s} ({n})" for s, n in sorted(gathered.missing.items()))
        lines += ["", f"Files that their source no longer has: {lost}."]
    if gathered.unlabelled:
        names = ", ".join(f"{s} ({n})" for s, n in sorted(gathered.unlabelled.items()))
        lines += ["", f"Names of other corpora that say too little to be a label: {names}."]
    return lines


def _side(clip: Candidate) -> str:
    return clip.recording.split


def _groups(built: Built) -> list[str]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    labels: dict[str, set[str]] = defaultdict(set)
    for clip in built.clips:
        group = built.recipe.group_of(clip.recording.label)
        counts[group][clip.recording.split] += 1
        labels[group].add(clip.recording.label)
    return [
        "## Groups",
        "",
        "| group | labels | " + " | ".join(SPLITS) + " |",
        "| --- | ---: |" + " ---: |" * len(SPLITS),
        *(
            f"| {group} | {len(labels[group])} | "
            + " | ".join(str(counts[group][split]) for split in SPLITS)
            + " |"
            for group in sorted(counts)
        ),
    ]


def _labels(built: Built) -> list[str]:
    sources: dict[str, set[str]] = defaultdict(set)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for clip in built.clips:
        counts[clip.recording.label][clip.recording.split] += 1
        sources[clip.recording.label].add(clip.recording.source)
    lines = [
        "## Labels",
        "",
        f"A label with fewer than {THIN_CLIPS} training clips from fewer than {THIN_SOURCES} "
        "sources is thin: captions say its group only. Names in lower case are groups, for "
        "recordings that are not told apart further. Agreement: the share of a label's clips among "
        "whose first five tags by the teacher is a class that the label table calls compatible.",
        "",
        "| label | group | said | " + " | ".join(SPLITS) + " | sources | agreement | first tags "
        "| decision |",
        "| --- | --- | --- |" + " ---: |" * len(SPLITS) + " ---: | ---: | --- | --- |",
    ]
    for label in sorted(counts, key=str.casefold):
        entry, heard = built.recipe.labels.get(label), built.agreement.get(label)
        said = "label" if entry and label not in built.thin else "group"
        cells = [
            label,
            built.recipe.group_of(label),
            said,
            *(str(counts[label][split]) for split in SPLITS),
            str(len(sources[label])),
            f"{heard.share:.0%}" if heard else "",
            "; ".join(heard.heard) if heard else "",
            entry.decision if entry else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _idle_rules(built: Built) -> list[str]:
    return [
        f"- {rule.package}: `{rule.pattern}`"
        for rule in built.recipe.rules
        if not built.gathered.caught[rule.package, rule.pattern]
    ]


def _weaknesses(built: Built) -> list[str]:
    train: Counter[str] = Counter()
    sources: dict[str, set[str]] = defaultdict(set)
    for clip in built.clips:
        if clip.recording.split not in WHOLE:
            train[clip.recording.label] += 1
            sources[clip.recording.label].add(clip.recording.source)
    labels = built.recipe.labels
    thin = sorted(built.thin & set(labels))
    few = [label for label in sorted(train) if train[label] < FEW and label not in built.thin]
    alone = [label for label in sorted(train) if len(sources[label]) == 1]
    absent = sorted(set(labels) - {c.recording.label for c in built.clips})
    untaught = sorted({c.recording.label for c in built.clips} - set(train))
    doubted = [label for label, heard in built.agreement.items() if heard.share < ENOUGH]
    return [
        _listed("Labels that are thin, said by their group only", thin),
        _listed(f"Other labels with fewer than {FEW} clips in train and val", few),
        _listed("Labels of which train and val have one source alone", alone),
        _listed(
            "Labels of which one source has more than a third of train and val, though there "
            "are three or more, or more than half of two",
            lopsided(built.clips),
        ),
        _listed("Labels that are in dev or test alone", untaught),
        _listed("Labels of the table without a clip", absent),
        _listed(f"Labels with an agreement below {ENOUGH:.0%}", doubted),
        "- Labels are taken from names of files and from credits; few have been listened to.",
        "- Instruments are rendered from one sound bank or played note by note; effects of games "
        "are often studio-clean, simulators' are loops, at times changed in pitch.",
    ]


def _listed(what: str, labels: list[str]) -> str:
    return f"- {what} ({len(labels)}): {', '.join(labels) or 'none'}."


def lopsided(clips: list[Candidate]) -> list[str]:
    """Return the labels whose largest source gives more than its part to train and validate on."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for clip in clips:
        if clip.recording.split not in WHOLE:
            counts[clip.recording.label][clip.recording.source] += 1
    return [
        label
        for label, own in sorted(counts.items())
        if len(own) > 1 and max(own.values()) * (3 if len(own) > 2 else 2) > sum(own.values())
    ]
