"""The recipe's tables: labels, sources, rules and files that give labels, and instruments."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from distill.corpus.decisions import Decision
from distill.corpus.file_table import FileRow
from distill.corpus.licences import is_free
from distill.corpus.ontology import Ontology, load_ontology
from distill.errors import CorpusError

HERE = Path(__file__).parent
BANK = "fluid-soundfont-gm"  # the package that the instruments are in
OUT = "-"  # The label of rules and aliases that leave files out.
SPLITS = ("train", "dev", "test")  # Of whole sources; some recordings of "train" become "val".
KINDS = ("event", "ambience", "speech", "music")
AUDIO = (".wav", ".ogg", ".oga", ".mp3", ".flac", ".au", ".aiff", ".aif", ".opus", ".gsm")


@dataclass(frozen=True)
class Label:
    """What a sound is called, and what the teacher may call it."""

    name: str
    kind: str  # one of `KINDS`
    group: str = ""  # one of groups.yaml
    audioset: tuple[str, ...] = ()  # AudioSet classes that agree with it
    series: tuple[float, ...] = ()  # shortest and longest interval of strokes in seconds
    synthetic: bool = False  # made by the build itself
    decision: str = ""  # what was looked at, and decided


@dataclass(frozen=True)
class Package:
    """A Debian package that holds recordings."""

    package: str
    version: str
    licence: str
    split: str  # One of `SPLITS`: only sources of "train" are trained on.
    collection: str = ""  # Kind of source, for reports.

    @property
    def source(self) -> str:
        return self.package


@dataclass(frozen=True)
class Repository:
    """A public Git repository that holds recordings; a source may have several."""

    source: str
    address: str  # Empty if the recordings can only be had with a shared corpus.
    commit: str  # Empty for the newest one.
    licence: str  # Of all files whose row in the table of files names none.
    split: str
    collection: str


@dataclass(frozen=True)
class Rule:
    """Files of a package whose path matches `pattern` are `label`; the first match decides."""

    package: str
    pattern: str
    label: str
    note: str

    @property
    def takes(self) -> bool:
        return self.label != OUT


@dataclass(frozen=True)
class Instrument:
    """A preset of the General MIDI bank, and how it is played."""

    label: str
    bank: int
    program: int
    low_note: int  # MIDI keys
    high_note: int
    style: str  # melody, chord, sustained, single or drum


@dataclass(frozen=True)
class Alias:
    """A name that other collections have for a label or a group."""

    alias: str
    label: str  # a label, a group where the name does not say more, or `OUT`
    note: str = ""


@dataclass(frozen=True)
class Recipe:
    labels: dict[str, Label]
    packages: list[Package]
    rules: list[Rule]
    instruments: list[Instrument]
    repositories: list[Repository] = field(default_factory=list)
    files: list[FileRow] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)  # name elsewhere: label, group or `OUT`
    decisions: list[Decision] = field(default_factory=list)
    ontology: Ontology = field(default_factory=lambda: Ontology({}, {}))

    @cached_property
    def sources(self) -> dict[str, Package | Repository]:
        """Return the source of each name; of a repository with several addresses the first."""
        entries: list[Package | Repository] = [*self.repositories[::-1], *self.packages]
        return {entry.source: entry for entry in entries}

    def rule_of(self, package: str, path: str) -> Rule | None:
        """The first rule that matches the file at `path` in `package`."""
        return next(
            (r for r in self.rules if r.package == package and fnmatchcase(path, r.pattern)), None
        )

    def label_of(self, name: str) -> str:
        """Return our label or group for `name` of another corpus; "" if there is none."""
        label = self.aliases.get(name, name)
        return label if label in self.labels or label in self.ontology.groups else ""

    def group_of(self, name: str) -> str:
        """Return the group of a label; of a group, its own name; "" if the recipe has no groups."""
        return name if name in self.ontology.groups else self.ontology.group_of.get(name, "")

    def alike(self, one: str, two: str) -> bool:
        """Return True if two labels may be said of the same sound: they share a group."""
        same = bool(self.group_of(one)) and self.group_of(one) == self.group_of(two)
        return one == two or same or (bool(self.ontology.groups) and self.ontology.alike(one, two))

    def audioset_of(self, name: str) -> set[str]:
        """Return the AudioSet classes that agree with a label, or with any label of a group."""
        within = [name] if name in self.labels else sorted(self.ontology.within(name))
        return {tag for label in within for tag in self.labels[label].audioset}

    def kind_of(self, name: str) -> str:
        """Return the kind of a label or a group: one of `KINDS`."""
        return (self.labels.get(name) or self.ontology.groups[name]).kind


def load_recipe(folder: Path = HERE) -> Recipe:
    """The tables in `folder`.

    Raises: CorpusError, naming the table and the row, if one contradicts another.
    """
    table = yaml.safe_load((folder / "labels.yaml").read_text(encoding="utf-8"))
    recipe = Recipe(
        labels={name: _label(name, entry) for name, entry in table.items()},
        packages=_rows(folder / "packages.csv", Package),
        rules=_rows(folder / "rules.csv", Rule),
        instruments=_rows(folder / "instruments.csv", Instrument),
        repositories=_rows(folder / "repositories.csv", Repository),
        files=_rows(folder / "files.csv", FileRow),
        aliases={row.alias: row.label for row in _rows(folder / "aliases.csv", Alias)},
        decisions=_rows(folder / "decisions.csv", Decision),
        ontology=_ontology(folder),
    )
    _check_sources(recipe)
    packages = {package.package for package in recipe.packages}
    for rule in recipe.rules:
        if rule.package not in packages:
            raise CorpusError(f"rules.csv: {rule.package!r} is not in packages.csv")
        if rule.takes and rule.label not in recipe.labels:
            raise CorpusError(f"rules.csv: {rule.pattern}: {rule.label!r} is not in labels.yaml")
    if recipe.instruments and BANK not in packages:
        raise CorpusError(f"instruments.csv: needs {BANK!r} in packages.csv")
    for instrument in recipe.instruments:
        if instrument.label not in recipe.labels:
            raise CorpusError(f"instruments.csv: {instrument.label!r} is not in labels.yaml")
    return recipe


def _check_sources(recipe: Recipe) -> None:
    entries: list[Package | Repository] = [*recipe.packages, *recipe.repositories]
    for entry in entries:
        table = "packages.csv" if isinstance(entry, Package) else "repositories.csv"
        if entry.split not in SPLITS:
            raise CorpusError(f"{table}: {entry.source}: split {entry.split!r} is not known")
        if not is_free(entry.licence):
            raise CorpusError(
                f"{table}: {entry.source}: weights trained under {entry.licence!r} must not be "
                "redistributed; remove it"
            )
    for row in recipe.files:
        if row.source not in recipe.sources:
            raise CorpusError(f"files.csv: {row.source!r} is in no table of sources")
        if row.licence and not is_free(row.licence):
            raise CorpusError(f"files.csv: {row.source} {row.path}: {row.licence!r} is not free")
    names = {*recipe.labels, *recipe.ontology.groups, OUT}
    for alias, label in recipe.aliases.items():
        if label not in names:
            raise CorpusError(f"aliases.csv: {alias}: {label!r} is not in labels.yaml")
    for decision in recipe.decisions:
        if decision.new_label and decision.new_label not in names:
            raise CorpusError(f"decisions.csv: {decision.new_label!r} is not in labels.yaml")


def _ontology(folder: Path) -> Ontology:
    """Read the groups; a small recipe may do without."""
    here = (folder / "groups.yaml").is_file()
    return load_ontology(folder) if here else Ontology({}, {})


def _label(name: str, entry: dict[str, Any]) -> Label:
    odd = set(entry) - {field.name for field in fields(Label)}
    if odd or entry.get("kind") not in KINDS:
        raise CorpusError(f"labels.yaml: {name!r}: unknown {', '.join(sorted(odd)) or 'kind'}")
    lists: dict[str, Any] = {
        key: tuple(entry[key]) for key in ("audioset", "series") if key in entry
    }
    return Label(name, **{**entry, **lists})


def _rows(path: Path, kind: type[Any]) -> list[Any]:
    """Return the rows of a CSV table as `kind`, whose fields are text or numbers.

    A table that is not there has no rows: a small recipe needs few of them.
    """
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    numbers = {f.name: {"int": int, "float": float}[f.type] for f in fields(kind)
               if f.type in ("int", "float")}  # fmt: skip
    out = []
    for row in rows:
        try:
            out.append(kind(**{k: numbers[k](v) if k in numbers else v for k, v in row.items()}))
        except (TypeError, ValueError):
            raise CorpusError(f"{path.name}: not a row of this table: {[*row.values()]}") from None
    return out
