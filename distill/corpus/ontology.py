"""The ontology of the labels: each label belongs to a group, and some groups to a wider one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from distill.errors import CorpusError

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Group:
    """Labels that share a general wording, because a listener may not tell them apart."""

    name: str
    kind: str  # Kind of a clip that is labelled with the group alone.
    parent: str = ""  # Name of the wider group; empty if there is none.


@dataclass(frozen=True)
class Ontology:
    """The groups, and the group that each label belongs to."""

    groups: dict[str, Group]
    group_of: dict[str, str]  # Label to name of its group.

    def above(self, name: str) -> tuple[str, ...]:
        """Return the groups that a label or a group belongs to, the narrowest first."""
        group = self.groups[name].parent if name in self.groups else self.group_of[name]
        return (group, *self.above(group)) if group else ()

    def within(self, group: str) -> frozenset[str]:
        """Return the labels of `group` and of the groups below it."""
        return frozenset(label for label in self.group_of if group in self.above(label))

    def alike(self, one: str, two: str) -> bool:
        """Return True if one of two names is the other, or is a group that holds the other."""
        return one == two or one in self.above(two) or two in self.above(one)


def load_ontology(folder: Path = HERE) -> Ontology:
    """Read groups.yaml, and the groups of the labels in labels.yaml.

    Raises
    ------
    CorpusError
        If a label or a group names a group that is not in groups.yaml, a group has the name of a
        label, or groups are nested in more than two levels.
    """
    table = yaml.safe_load((folder / "groups.yaml").read_text(encoding="utf-8"))
    labels = yaml.safe_load((folder / "labels.yaml").read_text(encoding="utf-8"))
    groups = {name: Group(name, **entry) for name, entry in table.items()}
    for group in groups.values():
        if group.name in labels:
            raise CorpusError(f"groups.yaml: {group.name!r} is also the name of a label")
        if group.parent and (group.parent not in groups or groups[group.parent].parent):
            raise CorpusError(f"groups.yaml: {group.name!r}: {group.parent!r} is no top group")
    group_of = {name: entry.get("group", "") for name, entry in labels.items()}
    for label, name in group_of.items():
        if name not in groups:
            raise CorpusError(f"labels.yaml: {label!r}: {name!r} is not in groups.yaml")
    return Ontology(groups, group_of)
