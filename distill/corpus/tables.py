"""The recipe's tables: labels, packages, the rules between them, and instruments to render."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from distill.errors import CorpusError

HERE = Path(__file__).parent
BANK = "fluid-soundfont-gm"  # the package that the instruments are in
KINDS = ("event", "ambience", "speech", "music")
OUT = "-"  # the label of rules that leave files out
AUDIO = (".wav", ".ogg", ".oga", ".mp3", ".flac", ".au", ".aiff", ".aif", ".opus")


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
    split: str  # "test": never trained on; else "train"


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
    aliases: dict[str, str] = field(default_factory=dict)  # name elsewhere: label, group or `OUT`

    def rule_of(self, package: str, path: str) -> Rule | None:
        """The first rule that matches the file at `path` in `package`."""
        return next(
            (r for r in self.rules if r.package == package and fnmatchcase(path, r.pattern)), None
        )

    def shared_label(self, label: str) -> str:
        """What the open corpus calls `label` of the shared corpus; "" if it does not take it."""
        name = self.aliases.get(label, label)
        return name if name in self.labels else ""


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
        aliases={row.alias: row.label for row in _rows(folder / "aliases.csv", Alias)},
    )
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


def _label(name: str, entry: dict[str, Any]) -> Label:
    odd = set(entry) - {field.name for field in fields(Label)}
    if odd or entry.get("kind") not in KINDS:
        raise CorpusError(f"labels.yaml: {name!r}: unknown {', '.join(sorted(odd)) or 'kind'}")
    lists: dict[str, Any] = {
        key: tuple(entry[key]) for key in ("audioset", "series") if key in entry
    }
    return Label(name, **{**entry, **lists})


def _rows(path: Path, kind: type[Any]) -> list[Any]:
    """The rows of a CSV table as `kind`, whose fields are text or whole numbers."""
    if not path.is_file():  # a small recipe needs few tables
        return []
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    numbers = {field.name for field in fields(kind) if field.type == "int"}
    out = []
    for row in rows:
        try:
            values: dict[str, Any] = dict(row)
            out.append(kind(**{k: int(v) if k in numbers else v for k, v in values.items()}))
        except (TypeError, ValueError):
            raise CorpusError(f"{path.name}: not a row of this table: {[*row.values()]}") from None
    return out
