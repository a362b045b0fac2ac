"""`aac-distill corpus build`: from the recipe to a folder of checked clips; resumable."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from distill.corpus.agreement import Agreement, agreement, tag
from distill.corpus.clip_files import Job, clip_path, make_clips, read_print
from distill.corpus.debian import need_apt
from distill.corpus.decisions import decided
from distill.corpus.duplicates import without_duplicates
from distill.corpus.fingerprint import near_duplicates
from distill.corpus.instruments import Synth
from distill.corpus.selection import (
    STROKE_S,
    Candidate,
    capped,
    thin_labels,
    too_short,
    with_splits,
)
from distill.corpus.sources import OWN, Gathered, Recording, gather, shared_folders
from distill.corpus.tables import BANK, Instrument, Recipe
from distill.errors import CorpusError
from distill.teachers.tagger import load_classes, load_tagger

COLUMNS = (
    "id", "path", "label", "kind", "group", "level", "series", "duration_s", "source", "version",
    "source_path", "excerpt_start_s", "licence", "split",
)  # fmt: skip


@dataclass(frozen=True)
class Built:
    """What a build came to; the data card and the plots are made from it."""

    recipe: Recipe
    clips: list[Candidate]
    gathered: Gathered  # Its recordings, files of each rule, and sources that are gone.
    faults: Counter[str]
    duplicates: list[tuple[Candidate, Candidate]]  # what went, and what it repeats
    dropped: int  # Clips that decisions.csv drops.
    relabelled: int  # Clips that decisions.csv gives another label.
    over: int  # clips that the limits on labels and sources left out
    thin: frozenset[str]  # Labels that are kept for the wording of their group.
    agreement: dict[str, Agreement]


def build(
    recipe: Recipe,
    out: Path,
    cache: Path,
    shared: Sequence[Path],
    teacher: Path | None,
    say: Callable[[str], None],
) -> Built:
    """Build the corpus of `recipe`; an interrupted build goes on where it ended.

    Parameters
    ----------
    recipe : Recipe
    out : Path
        Folder of the corpus.
    cache : Path
        Folder where packages and repositories are kept.
    shared : sequence of Path
        Labelled corpora to take in, or folders that hold some.
    teacher : Path or None
        Folder of the tagger that checks the labels.
    say : callable
        Takes each line of progress.

    Raises
    ------
    CorpusError
        Without apt for packages, if no source can be had, or if a folder cannot be written.
    """
    if recipe.packages:
        need_apt()
    # What cannot work should fail now, not after the downloads.
    tagger = None if teacher is None else (load_tagger(teacher), load_classes(teacher))
    corpora = shared_folders(shared)
    try:
        (out / "work").mkdir(parents=True, exist_ok=True)
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CorpusError(f"{error.filename}: cannot be written ({error.strerror})") from None
    with tqdm(desc="sources", unit="source") as bar:
        gathered = gather(recipe, cache, corpora, bar.update)
    candidates, faults = _cut(gathered, recipe, out, cache)
    candidates, dropped, relabelled = decided(candidates, recipe.decisions)
    for line in gathered.gone:
        say(f"skipped: {line}")
    say(f"{len(candidates)} clips of {len(gathered.recordings)} recordings; looking for repeats")
    prints = [read_print(out, c.piece) for c in candidates]
    # Steady tones are alike without being repeats of each other.
    silent = [p[:0] if c.recording.source == OWN else p
              for p, c in zip(prints, candidates, strict=True)]  # fmt: skip
    single, duplicates = without_duplicates(candidates, near_duplicates(silent), recipe.alike)
    clips = capped(single)
    thin = frozenset(label for label in thin_labels(clips) if recipe.group_of(label))
    write_table(clips, thin, recipe, out)
    heard: dict[str, Agreement] = {}
    if tagger is not None:
        with tqdm(total=len(clips), desc="tagging", unit="clip") as bar:
            heard = agreement(clips, tag(clips, out, *tagger, bar.update), recipe)
    over = len(single) - len(clips)
    return Built(
        recipe, clips, gathered, faults, duplicates, dropped, relabelled, over, thin, heard
    )


def row(clip: Candidate, thin: frozenset[str], recipe: Recipe) -> dict[str, str]:
    """Return the row of clips.csv for `clip`, but for its path."""
    r, p = clip.recording, clip.piece
    label = recipe.labels.get(r.label)
    stroke = label is not None and label.series and p.duration_s <= STROKE_S
    return {
        "id": p.id,
        "label": r.label,
        "kind": recipe.kind_of(r.label),
        "group": recipe.group_of(r.label),
        "level": "label" if label is not None and r.label not in thin else "group",
        "series": "yes" if stroke else "",
        "duration_s": f"{p.duration_s:g}",
        "source": r.source,
        "version": r.version,
        "source_path": r.source_path,
        "excerpt_start_s": f"{clip.start_s:g}",
        "licence": r.licence,
        "split": r.split,
    }


def write_table(
    clips: Sequence[Candidate], thin: frozenset[str], recipe: Recipe, out: Path
) -> None:
    """Write `clips.csv`, the index of the corpus; the old one stays until the new one is whole."""
    part = out / "clips.csv.part"
    with open(part, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for clip in clips:
            path = clip_path(out, clip.piece).relative_to(out).as_posix()
            table.writerow({"path": path, **row(clip, thin, recipe)})
    part.replace(out / "clips.csv")


def _cut(
    gathered: Gathered, recipe: Recipe, out: Path, cache: Path
) -> tuple[list[Candidate], Counter[str]]:
    presets = {f"{i.bank}:{i.program}:{i.style}": i for i in recipe.instruments}
    bank = {p.package: p.version for p in recipe.packages}.get(BANK)
    synth, recordings = None, gathered.recordings
    if bank and recipe.instruments:
        try:
            synth = Synth(cache, bank)
        except CorpusError as error:
            gathered.gone.append(f"{error}; without instruments")
            recordings = [r for r in recordings if r.source != BANK]
    jobs = [_job(r, out, presets, synth) for r in recordings]
    candidates: list[Candidate] = []
    faults: Counter[str] = Counter()
    done = make_clips(jobs, os.cpu_count() or 1)
    for recording, pieces in tqdm(done, total=len(jobs), desc="clips", unit="recording"):
        for piece in pieces:
            clip = Candidate(recording, piece)
            if piece.fault:
                faults[piece.fault] += 1
            elif too_short(clip, recipe.kind_of(recording.label)):
                faults["too short to be an ambience"] += 1
            else:
                candidates.append(clip)
    return with_splits(candidates), faults


def _job(
    recording: Recording, out: Path, presets: dict[str, Instrument], synth: Synth | None
) -> Job:
    if recording.source == BANK and recording.file is None:
        return Job(recording, out, presets[recording.source_path], synth)
    return Job(recording, out)
