"""`aac-distill corpus build`: from the recipe to a folder of checked clips; resumable."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from distill.corpus.agreement import Agreement, agreement, tag
from distill.corpus.clip_files import Job, clip_path, make_clips, read_print
from distill.corpus.dataset import read_clips
from distill.corpus.debian import need_apt
from distill.corpus.fingerprint import near_duplicates
from distill.corpus.instruments import Synth
from distill.corpus.selection import Candidate, capped, with_splits, without_duplicates
from distill.corpus.sources import OWN, Recording, gather
from distill.corpus.tables import BANK, Instrument, Recipe
from distill.errors import CorpusError
from distill.teachers.tagger import load_classes, load_tagger

COLUMNS = (
    "path", "label", "kind", "duration_s", "source", "version", "source_path",
    "excerpt_start_s", "licence", "split",
)  # fmt: skip


@dataclass(frozen=True)
class Built:
    """What a build came to; the data card and the plots are made from it."""

    recipe: Recipe
    clips: list[Candidate]
    caught: Counter[tuple[str, str]]  # files of each rule (package, pattern)
    faults: Counter[str]
    duplicates: list[tuple[Candidate, Candidate]]  # what went, and what it repeats
    over: int  # clips that the limits on labels and sources left out
    agreement: dict[str, Agreement]


def build(
    recipe: Recipe,
    out: Path,
    cache: Path,
    shared: Path | None,
    teacher: Path | None,
    say: Callable[[str], None],
) -> Built:
    """Build the corpus of `recipe` in `out`; packages are kept in `cache`.

    Raises: CorpusError without apt, without network, or if a folder cannot be written.
    """
    need_apt()
    # What cannot work should fail now, not after the downloads.
    tagger = None if teacher is None else (load_tagger(teacher), load_classes(teacher))
    if shared is not None:
        read_clips(shared)
    try:
        (out / "work").mkdir(parents=True, exist_ok=True)
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CorpusError(f"{error.filename}: cannot be written ({error.strerror})") from None
    with tqdm(total=len(recipe.packages), desc="packages", unit="package") as bar:
        recordings, caught = gather(recipe, cache, shared, bar.update)
    candidates, faults = _cut(recordings, recipe, out, cache)
    say(f"{len(candidates)} clips of {len(recordings)} recordings; looking for repeats")
    prints = [read_print(out, c.piece) for c in candidates]
    # Steady tones are alike without being repeats of each other.
    silent = [p[:0] if c.recording.source == OWN else p
              for p, c in zip(prints, candidates, strict=True)]  # fmt: skip
    single, duplicates = without_duplicates(candidates, near_duplicates(silent))
    clips = capped(single)
    heard: dict[str, Agreement] = {}
    if tagger is not None:
        with tqdm(total=len(clips), desc="tagging", unit="clip") as bar:
            heard = agreement(clips, tag(clips, out, *tagger, bar.update), recipe)
    write_table(clips, recipe, out)
    return Built(recipe, clips, caught, faults, duplicates, len(single) - len(clips), heard)


def write_table(clips: list[Candidate], recipe: Recipe, out: Path) -> None:
    """`clips.csv`, the index of the corpus; the old one stays until the new one is whole."""
    part = out / "clips.csv.part"
    with open(part, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for clip in clips:
            r, p = clip.recording, clip.piece
            path = clip_path(out, p).relative_to(out).as_posix()
            table.writerow(
                [path, r.label, recipe.labels[r.label].kind, p.duration_s, r.source, r.version,
                 r.source_path, p.start_s, r.licence, r.split]
            )  # fmt: skip
    part.replace(out / "clips.csv")


def _cut(
    recordings: list[Recording], recipe: Recipe, out: Path, cache: Path
) -> tuple[list[Candidate], Counter[str]]:
    presets = {f"{i.bank}:{i.program}:{i.style}": i for i in recipe.instruments}
    bank = {p.package: p.version for p in recipe.packages}.get(BANK)
    synth = Synth(cache, bank) if bank else None
    jobs = [_job(r, out, presets, synth) for r in recordings]
    candidates: list[Candidate] = []
    faults: Counter[str] = Counter()
    done = make_clips(jobs, os.cpu_count() or 1)
    for recording, pieces in tqdm(done, total=len(jobs), desc="clips", unit="recording"):
        for piece in pieces:
            if piece.fault:
                faults[piece.fault] += 1
            else:
                candidates.append(Candidate(recording, piece))
    return with_splits(candidates), faults


def _job(
    recording: Recording, out: Path, presets: dict[str, Instrument], synth: Synth | None
) -> Job:
    if recording.source == BANK and recording.file is None:
        return Job(recording, out, presets[recording.source_path], synth)
    return Job(recording, out)
