"""The recordings that the recipe names: where each lies, and what it is said to be."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from distill.corpus import instruments, synthetic
from distill.corpus.archives import SourceTree
from distill.corpus.cutting import MOST_EXCERPTS
from distill.corpus.debian import unpack
from distill.corpus.file_table import FileRow, normalise
from distill.corpus.licences import is_free
from distill.corpus.repositories import checkout
from distill.corpus.tables import AUDIO, BANK, Package, Recipe, Repository
from distill.errors import CorpusError

OWN = "aac-stream"  # The source of what the build makes itself.
MOST_FILES = 300  # Of a label and source.
MOST_CUT = 900  # Excerpts of a label, about; some of them are of no use.
FETCHES = 4  # Sources that are fetched at the same time.
WHOLE = {"dev", "test"}  # Splits of whole sources.


@dataclass(frozen=True)
class Recording:
    """A sound before it is cut and checked."""

    label: str
    source: str  # Package, repository or collection.
    version: str
    source_path: str  # Within the source; names what is made, where there is no file.
    licence: str
    split: str  # "" where the build may choose between train and val.
    file: Path | None = None  # None: the build makes it.
    number: int = 0  # Of what the build makes.
    excerpts: int = MOST_EXCERPTS  # To take of it, if it is long.
    start_s: float = 0.0  # Where it starts in the source's file.
    take_s: float = 0.0  # To read of `file` from `start_s` on; 0 reads all of the file.


@dataclass
class Gathered:
    """The recordings of the recipe, and what could not be had."""

    recordings: list[Recording] = field(default_factory=list)
    caught: Counter[tuple[str, str]] = field(default_factory=Counter)  # Files of each rule.
    gone: list[str] = field(default_factory=list)  # One line for each source that is skipped.
    missing: Counter[str] = field(default_factory=Counter)  # Files that a source no longer has.
    unlabelled: Counter[str] = field(default_factory=Counter)  # Names without a label of ours.


def gather(
    recipe: Recipe, cache: Path, shared: Sequence[Path], progress: Callable[[int], object]
) -> Gathered:
    """Find every recording of the recipe.

    Calls `progress` with 1 for each source that is at hand.

    Parameters
    ----------
    shared : sequence of Path
        Folders of labelled corpora. A file of the table that is in one of them is not fetched.

    Raises
    ------
    CorpusError
        If no source at all can be had.
    """
    found = Gathered()
    here = [r for folder in shared for r in _shared(recipe, folder, found)]
    at_hand = {(r.source, r.source_path, f"{r.start_s:g}") for r in here}
    rows: dict[str, list[FileRow]] = defaultdict(list)
    for row in recipe.files:
        if not recipe.label_of(row.label):
            found.unlabelled[row.label] += 1
        elif row.key not in at_hand:
            rows[row.source].append(row)
    ruled = {rule.package for rule in recipe.rules}
    jobs = source_jobs(recipe, rows, ruled)

    def fetch(entries: Sequence[Package | Repository]) -> Gathered:
        entry = entries[0]
        try:
            if isinstance(entry, Package):
                return _of_package(recipe, entry, rows[entry.source], cache)
            return _of_repositories(recipe, entries, rows[entry.source], cache)
        except CorpusError as error:
            return Gathered(gone=[str(error)])
        finally:
            progress(1)

    with ThreadPoolExecutor(FETCHES) as pool:
        parts = list(pool.map(fetch, jobs))
    if jobs and not here and all(part.gone for part in parts):
        raise CorpusError(parts[0].gone[0])
    for part in parts:
        found.caught += part.caught
        found.gone += part.gone
        found.missing += part.missing
    listed = {row.key[:2] for row in recipe.files}
    fetched = [r for part in parts for r in part.recordings]
    ruled_ones = [r for r in fetched if not r.take_s and (r.source, r.source_path) not in listed]
    found.recordings = [*_some(ruled_ones), *(r for r in fetched if r.take_s), *here,
                        *_made(recipe)]  # fmt: skip
    return found


def source_jobs(
    recipe: Recipe, rows: dict[str, list[FileRow]], ruled: set[str]
) -> list[list[Package | Repository]]:
    """Return the sources to fetch: those with rules, or with rows that are not at hand."""
    packages = [p for p in recipe.packages if p.source in ruled or rows.get(p.source)]
    jobs: list[list[Package | Repository]] = [[p] for p in packages if p.package != BANK]
    by_source: dict[str, list[Package | Repository]] = defaultdict(list)
    for repository in recipe.repositories:
        if rows.get(repository.source):
            by_source[repository.source].append(repository)
    return [*jobs, *by_source.values()]


def _of_package(recipe: Recipe, entry: Package, rows: Sequence[FileRow], cache: Path) -> Gathered:
    found = Gathered()
    tree, version = unpack(entry.package, entry.version, cache)
    split = entry.split if entry.split in WHOLE else ""
    for path in sorted(tree.rglob("*")):
        if path.suffix.lower() not in AUDIO or path.is_symlink() or not path.is_file():
            continue
        inside = path.relative_to(tree).as_posix()
        rule = recipe.rule_of(entry.package, inside)
        if rule is None:
            continue
        found.caught[rule.package, rule.pattern] += 1
        if rule.takes:
            found.recordings.append(
                Recording(rule.label, entry.package, version, inside, entry.licence, split, path)
            )
    if rows:
        extracted = cache / "extracted" / entry.package
        _add_rows(recipe, entry, version, rows, [SourceTree(tree, extracted)], found)
    return found


def _of_repositories(
    recipe: Recipe, entries: Sequence[Package | Repository], rows: Sequence[FileRow], cache: Path
) -> Gathered:
    trees, versions = [], []
    for entry in entries:
        assert isinstance(entry, Repository)
        if not entry.address:
            raise CorpusError(f"{entry.source}: has no address; --shared brings its files")
        paths = [row.path for row in rows]
        folder, commit = checkout(entry.address, entry.commit, paths, cache / "repositories")
        trees.append(SourceTree(folder, folder / ".git" / "extracted"))
        versions.append(commit)
    found = Gathered()
    _add_rows(recipe, entries[0], " ".join(versions), rows, trees, found)
    return found


def _add_rows(
    recipe: Recipe,
    entry: Package | Repository,
    version: str,
    rows: Sequence[FileRow],
    trees: Sequence[SourceTree],
    found: Gathered,
) -> None:
    """Add the recordings of `rows` to `found`; those that no tree has are counted there."""
    split = entry.split if entry.split in WHOLE else ""
    for row in rows:
        file = next((path for tree in trees if (path := tree.find(row.path))), None)
        if file is None:
            found.missing[row.source] += 1
        else:
            found.recordings.append(
                Recording(
                    recipe.label_of(row.label), row.source, version, row.path,
                    row.licence or entry.licence, split, file,
                    start_s=row.start_s, take_s=row.duration_s,
                )
            )  # fmt: skip


def _some(recordings: Sequence[Recording]) -> list[Recording]:
    """At most `MOST_FILES` of each label and source, and fewer excerpts where there are many files.

    Thousands of spoken words and hours of music need not be cut for the few that can stay.
    """
    groups: dict[tuple[str, str], list[Recording]] = defaultdict(list)
    for recording in recordings:
        groups[recording.label, recording.source].append(recording)
    some = {key: group[:: -(-len(group) // MOST_FILES)] for key, group in groups.items()}
    files: Counter[tuple[str, str]] = Counter()
    for group in some.values():
        for recording in group:
            files[recording.label, recording.split] += 1
    return [
        replace(r, excerpts=min(MOST_EXCERPTS, -(-MOST_CUT // files[r.label, r.split])))
        for group in some.values()
        for r in group
    ]


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


def shared_folders(given: Sequence[Path]) -> list[Path]:
    """Return the labelled corpora among `given`, or in the folders directly below.

    Raises
    ------
    CorpusError
        If a folder neither is nor holds one.
    """
    found = []
    for folder in given:
        inner = sorted(table.parent for table in folder.glob("*/clips.csv"))
        own = [folder] if (folder / "clips.csv").is_file() else inner
        if not own:
            raise CorpusError(f"{folder / 'clips.csv'}: no such file; give a folder that holds it")
        found += own
    return found


def _shared(recipe: Recipe, folder: Path, found: Gathered) -> Iterator[Recording]:
    """Yield the clips of a labelled corpus that have a label of ours and a free licence."""
    with open(folder / "clips.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            given = row["source"], row.get("source_path") or row["path"], row["licence"]
            source, path, licence = normalise(*given)
            label = recipe.label_of(row["label"])
            if not label:
                continue
            if not is_free(licence):
                line = f"{source}: {licence!r} does not allow redistributing weights"
                found.gone += [] if line in found.gone else [line]
                continue
            entry = recipe.sources.get(source)
            split = entry.split if entry else row.get("split", "")
            yield Recording(
                label, source, getattr(entry, "version", ""), path, licence,
                split if split in WHOLE else "", folder / row["path"],
                start_s=float(row.get("excerpt_start_s") or 0.0),
            )  # fmt: skip
