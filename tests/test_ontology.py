"""The ontology: labels, their groups, and what other collections call them."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from distill.corpus.ontology import load_ontology
from distill.corpus.tables import KINDS, load_recipe
from distill.errors import CorpusError
from tests.helpers import ROOT


def test_every_label_belongs_to_a_group_and_some_groups_to_a_wider_one() -> None:
    recipe, ontology = load_recipe(), load_ontology()
    assert 25 <= len(ontology.groups) <= 45
    assert {name: label.group for name, label in recipe.labels.items()} == ontology.group_of
    assert ontology.above("Bark") == ("dog", "animal")
    assert ontology.above("dog") == ("animal",)
    assert ontology.above("animal") == ()
    assert {"Bark", "Meow", "Owl", "Cricket"} <= ontology.within("animal")
    assert ontology.within("dog") < ontology.within("animal")
    assert ontology.alike("Bark", "animal")
    assert ontology.alike("dog", "Bark")
    assert not ontology.alike("Bark", "cat")
    assert not ontology.alike("Bark", "Howl")
    assert all(group.kind in KINDS for group in ontology.groups.values())


@pytest.mark.parametrize(
    ("groups", "labels", "message"),
    [
        ("dog: {kind: event}", "Bark: {kind: event, group: cat}", "labels.yaml: 'Bark': 'cat'"),
        ("dog: {kind: event}", "Bark: {kind: event}", "labels.yaml: 'Bark': ''"),
        ("Bark: {kind: event}", "Bark: {kind: event, group: Bark}", "also the name of a label"),
        ("dog: {kind: event, parent: animal}", "{}", "'dog': 'animal' is no top group"),
        (
            "a: {kind: event}\nb: {kind: event, parent: a}\nc: {kind: event, parent: b}",
            "{}",
            "'c': 'b' is no top group",
        ),
    ],
)
def test_a_contradiction_in_the_ontology_is_named(
    tmp_path: Path, groups: str, labels: str, message: str
) -> None:
    (tmp_path / "groups.yaml").write_text(groups, encoding="utf-8")
    (tmp_path / "labels.yaml").write_text(labels, encoding="utf-8")
    with pytest.raises(CorpusError, match=re.escape(message)):
        load_ontology(tmp_path)


def test_the_classes_of_the_labels_are_those_of_the_tagger() -> None:
    table = ROOT.parent / "shared" / "teacher" / "audioset_labels.csv"
    if not table.is_file():
        pytest.skip("needs the tagger's table of classes")
    with open(table, newline="", encoding="utf-8") as file:
        classes = {row["display_name"] for row in csv.DictReader(file)}
    for label in load_recipe().labels.values():
        assert label.audioset, label.name
        assert set(label.audioset) <= classes, label.name


@pytest.mark.parametrize(("corpus", "names"), [("corpus", 63), ("corpus2", 425)])
def test_every_name_of_the_shared_corpora_is_a_label_or_has_an_alias(
    corpus: str, names: int
) -> None:
    table = ROOT.parent / "shared" / corpus / "clips.csv"
    if not table.is_file():
        pytest.skip("needs the shared corpora")
    with open(table, newline="", encoding="utf-8") as file:
        found = {row["label"] for row in csv.DictReader(file)}
    recipe = load_recipe()
    assert len(found) == names
    assert found <= {*recipe.labels, *recipe.aliases}
