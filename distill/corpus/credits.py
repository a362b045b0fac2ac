"""Whom the corpus, and a model trained on it, owes its recordings: sources, licences, authors."""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from distill.corpus.licences import REMARK
from distill.corpus.tables import Package, Recipe, Repository
from distill.errors import CorpusError

MOST_AUTHORS = 12  # Named in the table; files.csv has all of them, file by file.
# Authors as the remarks of files.csv name them: a page of Freesound, or a list of credits.
AUTHOR = re.compile(r"freesound\.org/people/([^/\s)]+)|audio-\*\.txt: ([^)]+(?:\([^)]*\))?)")


@dataclass
class Credit:
    """A source, and what was taken from it."""

    source: str
    clips: int = 0
    splits: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)
    licences: Counter[str] = field(default_factory=Counter)
    authors: Counter[str] = field(default_factory=Counter)
    versions: set[str] = field(default_factory=set)


def read_rows(folder: Path) -> list[dict[str, str]]:
    """Return the rows of `folder`/clips.csv.

    Raises
    ------
    CorpusError
        If there is no such table.
    """
    path = folder / "clips.csv"
    if not path.is_file():
        raise CorpusError(f"{path}: no such file; give the folder of a corpus that was built")
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def credits(clips: Iterable[Mapping[str, str]], splits: Iterable[str] = ()) -> list[Credit]:
    """Return a credit for each source of `clips`, in alphabetical order.

    Parameters
    ----------
    clips : iterable of mappings
        Rows of clips.csv: source, version, licence, label and split.
    splits : iterable of str
        The splits that count; all if there are none.
    """
    wanted = set(splits)
    found: dict[str, Credit] = {}
    for clip in clips:
        if wanted and clip["split"] not in wanted:
            continue
        credit = found.setdefault(clip["source"], Credit(clip["source"]))
        credit.clips += 1
        credit.splits.add(clip["split"])
        credit.labels.add(clip["label"])
        credit.licences[short_licence(clip["licence"])] += 1
        credit.authors.update(authors(clip["licence"]))
        credit.versions.update([clip["version"]] if clip.get("version") else [])
    return [found[name] for name in sorted(found, key=str.casefold)]


def short_licence(licence: str) -> str:
    """Return the names of the licences without the remarks on where they are stated."""
    return " ".join(REMARK.sub(" ", licence).split())


def authors(licence: str) -> list[str]:
    """Return the authors that the remark of a licence names."""
    return [(one or two).strip() for one, two in AUTHOR.findall(licence)]


def table(found: Iterable[Credit], recipe: Recipe) -> list[str]:
    """Return the rows of a Markdown table: source, split, clips, labels, licences, authors."""
    lines = [
        "| source | version | split | clips | labels | licence | authors |",
        "| --- | --- | --- | ---: | ---: | --- | --- |",
    ]
    addresses: dict[str, list[str]] = defaultdict(list)
    for repository in recipe.repositories:
        addresses[repository.source] += [repository.address] if repository.address else []
    for credit in found:
        entry = recipe.sources.get(credit.source)
        commit = entry.commit if isinstance(entry, Repository) else ""
        version = entry.version if isinstance(entry, Package) else commit
        version = ", ".join(sorted(credit.versions)) or version
        lines.append(
            f"| {_linked(credit.source, addresses[credit.source])} | {version[:40]} "
            f"| {', '.join(sorted(credit.splits))} | {credit.clips} | {len(credit.labels)} "
            f"| {'; '.join(sorted(credit.licences))} | {_few(credit.authors)} |"
        )
    return lines


def _linked(source: str, addresses: list[str]) -> str:
    if not addresses:
        return source
    more = "".join(f", [{a.rsplit('/', 1)[-1]}]({a})" for a in addresses[1:])
    return f"[{source}]({addresses[0]}){more}"


def _few(names: Counter[str]) -> str:
    first = [name for name, _ in names.most_common(MOST_AUTHORS)]
    rest = len(names) - len(first)
    return ", ".join(sorted(first)) + (f" and {rest} more" if rest else "")
