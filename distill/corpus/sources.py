"""The recordings that the recipe names: where each lies, and what it is said to be."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from distill.corpus import instruments, synthetic
from distill.corpus.cutting import MOST_EXCERPTS
from distill.corpus.dataset import read_clips
from distill.corpus.debian import unpack
from distill.corpus.tables import AUDIO, BANK, Recipe

OWN = "aac-stream"  # the source of what the build makes itself
MOST_FILES = 300


@dataclass(frozen=True)
class Recording:
    """A sound before it is cut and checked."""

    label: str
    source: str  # package or collection
    version: str
    source_path: str  # within the package; names what is made, where there is no file
    licence: str
    split: str  # "train", "val" or "test"; "" where the build may choose between train and val
    file: Path | None = None  # None: the build makes it
    number: int = 0  # of what the build makes
    excerpts: int = MOST_EXCERPTS  # to take of it, if it is long


def gather(
    recipe: Recipe, cache: Path, shared: Path | None, progress: Callable[[int], object]
) -> tuple[list[Recording], Counter[tuple[str, str]]]:
    """Every recording of the recipe, and how many files each rule caught.

    Calls `progress` with 1 for each package that is at hand.

    Raises: CorpusError if a package cannot be had.
    """
    caught: Counter[tuple[str, str]] = Counter()

    def fetch(index: int) -> list[Recording]:
        entry = recipe.packages[index]
        tree, version = unpack(entry.package, entry.version, cache)
        found = []
        for path in sorted(tree.rglob("*")):
            if path.suffix.lower() not in AUDIO or path.is_symlink() or not path.is_file():
                continue
            inside = path.relative_to(tree).as_posix()
            rule = recipe.rule_of(entry.package, inside)
            if rule is None:
                continue
            caught[rule.package, rule.pattern] += 1
            if rule.takes:
                split = "test" if entry.split == "test" else ""
                found.append(
                    Recording(
                        rule.label, entry.package, version, inside, entry.licence, split, path
                    )
                )
        progress(1)
        return found

    with ThreadPoolExecutor(4) as pool:
        found = [r for rs in pool.map(fetch, range(len(recipe.packages))) for r in rs]
    recordings = _some(found)
    recordings += _made(recipe)
    if shared is not None:
        recordings += _shared(recipe, shared)
    return recordings, caught


def _some(recordings: list[Recording]) -> list[Recording]:
    """At most `MOST_FILES` of each label and source, and fewer excerpts where there are many files.

    Thousands of spoken words and hours of music need not be cut for the few that can stay.
    """
    groups: dict[tuple[str, str], list[Recording]] = defaultdict(list)
    for recording in recordings:
        groups[recording.label, recording.source].append(recording)
    kept = []
    for group in groups.values():
        some = group[:: -(-len(group) // MOST_FILES)]
        excerpts = min(MOST_EXCERPTS, -(-MOST_FILES // len(some)))
        kept += [replace(recording, excerpts=excerpts) for recording in some]
    return kept


def _made(recipe: Recipe) -> Iterator[Recording]:
    for label in recipe.labels.values():
        if label.synthetic:
            for number in range(synthetic.COUNT):
                name = f"synthetic/{label.name}"
                yield Recording(label.name, OWN, "1", name, "Apache-2.0", "", None, number)
    bank = {p.package: p.version for p in recipe.packages}.get(BANK, "")
    for instrument in recipe.instruments:
        preset = f"{instrument.bank}:{instrument.program}:{instrument.style}"
        for number in range(instruments.PHRASES):
            yield Recording(instrument.label, BANK, bank, preset, "MIT", "", None, number)


def _shared(recipe: Recipe, folder: Path) -> Iterator[Recording]:
    for clip in read_clips(folder):
        label = recipe.shared_label(clip.label)
        if label:
            inside = clip.path.relative_to(folder).as_posix()
            yield Recording(label, clip.source, "", inside, clip.licence, clip.split, clip.path)
