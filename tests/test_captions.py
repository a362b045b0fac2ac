"""Captions: English, truth, and reading them back."""

from __future__ import annotations

import itertools
import json
import random
import re
from dataclasses import replace

import pytest

from distill.captions.caption_parser import Named, Reader, vocabulary
from distill.captions.english import Wording, ing_form, parse_wording, third_person
from distill.captions.sample import sample_page
from distill.captions.writer import (
    COUNTS,
    DISTANCES,
    MANY,
    MOST_WORDS,
    Wordings,
    follows,
    generalised,
    load_wordings,
    together,
    write,
)
from distill.corpus.tables import load_recipe
from distill.evaluation.metrics import match_events
from distill.scenes.annotations import Event, Truth
from tests.helpers import ROOT

WORDINGS = load_wordings()
READER = Reader(WORDINGS)


# --- English


@pytest.mark.parametrize(
    ("verb", "third", "ing"),
    [
        ("bark", "barks", "barking"),
        ("cry", "cries", "crying"),
        ("play", "plays", "playing"),
        ("pass", "passes", "passing"),
        ("buzz", "buzzes", "buzzing"),
        ("crash", "crashes", "crashing"),
        ("go", "goes", "going"),
        ("moo", "moos", "mooing"),
        ("chime", "chimes", "chiming"),
        ("hum", "hums", "humming"),
        ("run", "runs", "running"),
        ("ring", "rings", "ringing"),
        ("blow", "blows", "blowing"),
        ("speak", "speaks", "speaking"),
        ("open", "opens", "opening"),
        ("trumpet", "trumpets", "trumpeting"),
        ("whir", "whirs", "whirring"),
        ("squeal", "squeals", "squealing"),
        ("fly", "flies", "flying"),
    ],
)
def test_verbs_are_inflected_as_english_does(verb: str, third: str, ing: str) -> None:
    assert third_person(verb) == third
    assert ing_form(verb) == ing


IRREGULAR_PLURALS = {"people", "children", "geese", "wolves", "hooves", "cattle", "timpani"}
SINGULAR_IN_S = {"glass", "bus"}
SILENT_H = {"hour", "honest"}


def faults(wording: Wording) -> list[str]:
    """What a reader with a grammar book would mark; knows nothing of how forms are made."""
    marks = []
    continuous = wording.continuous().split()
    auxiliary = next(i for i, word in enumerate(continuous) if word in ("is", "are"))
    noun_phrase, simple = continuous[:auxiliary], wording.simple().split()
    verb = simple[auxiliary]
    head = re.split(r" (?:of|on|in|with|from) ", " ".join(noun_phrase))[0].split()[-1]
    plural = head in IRREGULAR_PLURALS or (
        head.endswith("s") and not head.endswith("ss") and head not in SINGULAR_IN_S
    )
    article = noun_phrase[0] in ("a", "an")
    if plural and article:
        marks.append("article before a plural")
    if (continuous[auxiliary] == "are") != plural:
        marks.append("is or are")
    ends_in_s = verb.endswith("s") and not verb.endswith("ss")
    if ends_in_s == plural:
        marks.append("number of the verb")
    if not continuous[auxiliary + 1].endswith("ing"):
        marks.append("no participle")
    for text in (simple, continuous, wording.gerund().split()):
        for word, following in itertools.pairwise(text):
            vowel = following[0] in "aeiou" and not following.startswith(
                ("uni", "use", "uku", "eu")
            )
            if word in ("a", "an") and (word == "an") != (vowel or following in SILENT_H):
                marks.append(f"{word} {following}")
            if word == following:
                marks.append(f"{word} twice")
        if not all(re.fullmatch(r"[a-z]+(-[a-z]+)?", word) for word in text):
            marks.append("odd letters")
    if wording.rest.split()[:1] in (["or"], ["and"]):  # "is opening or close"
        marks.append("a second verb")
    return marks


def test_every_label_in_every_form_is_english() -> None:
    marked = {
        entry.simple(): faults(entry)
        for entries in (*WORDINGS.labels.values(), *WORDINGS.groups.values())
        for entry in entries
        if faults(entry)
    }
    assert marked == {}


@pytest.mark.parametrize(
    "text",
    [
        "a owl / hoot",
        "dogs / bark",
        "a dogs* / bark",
        "an unicorn / sing",
        "a a dog / bark",
        "a man / open / or close it",
    ],
)
def test_the_checker_can_fail(text: str) -> None:
    assert faults(parse_wording(text))


# --- the table


def forms(wording: Wording) -> tuple[str, str, str]:
    return wording.simple(), wording.continuous(), wording.gerund()


def test_every_label_and_group_has_its_words_and_shares_none() -> None:
    recipe = load_recipe()
    assert set(WORDINGS.labels) == set(recipe.labels)
    assert set(WORDINGS.groups) == set(WORDINGS.ontology.groups)
    assert WORDINGS.countable <= set(WORDINGS.labels)
    assert all(len(entries) >= 2 for entries in WORDINGS.labels.values())
    assert all(1 <= len(entries) <= 3 for entries in WORDINGS.groups.values())
    owner: dict[str, str] = {}
    for name, entries in (*WORDINGS.labels.items(), *WORDINGS.groups.items()):
        assert len({entry.simple() for entry in entries}) == len(entries), name
        for form in itertools.chain.from_iterable(map(forms, entries)):
            (named,) = READER.labels(form)
            assert name in named
            other = owner.setdefault(form, name)
            assert other == name or {other, name} <= frozenset().union(*WORDINGS.alike), form


def test_wordings_of_earlier_models_are_read_back_but_not_written() -> None:
    """The model that ships was trained on them."""
    assert set(WORDINGS.former) <= set(WORDINGS.labels)
    written = {form for entries in WORDINGS.labels.values() for e in entries for form in forms(e)}
    for label, entries in WORDINGS.former.items():
        for entry in entries:
            assert entry not in WORDINGS.labels[label]
            for form in forms(entry):
                (named,) = READER.labels(form)
                assert label in named
                assert len(named) == 1 or form in written or named <= set(WORDINGS.former), form
    assert READER.labels("wolves howl while dogs are barking") == [{"Howl"}, {"Bark"}]


def test_every_word_of_the_model_that_ships_is_still_read() -> None:
    bundle = json.loads((ROOT / "edge" / "model" / "manifest.json").read_text(encoding="utf-8"))
    known = set(vocabulary(WORDINGS))
    for entries in WORDINGS.former.values():
        for form in itertools.chain.from_iterable(map(forms, entries)):
            known.update(form.split())
    words = {word for word in bundle["vocabulary"] if not word.startswith("<")}
    assert words - known == set()


def test_the_vocabulary_is_of_the_size_that_a_small_decoder_wants() -> None:
    assert 600 <= len(vocabulary(WORDINGS)) <= 1500


# --- truth


def truth(rng: random.Random) -> Truth:
    """A scene of up to four events, each heard up to four times."""
    labels = rng.sample(sorted(WORDINGS.labels), 5)
    events = []
    for label in labels[: rng.choice([1, 1, 2, 2, 3, 4])]:
        at, times = rng.uniform(0.0, 6.0), []
        for _ in range(rng.choice([1, 1, 2, 3, 4])):
            length = rng.uniform(0.2, 3.0)
            times.append((at, at + length))
            at += length + rng.uniform(0.4, 1.5)
        near = rng.choice(["", "", "near", "far"])
        events.append(Event(label, tuple(times), rng.uniform(-20.0, 0.0), near))
    events.sort(key=lambda event: event.start_s)
    return Truth(10.0, tuple(events), labels[4] if rng.random() < 0.4 else "")


def scenes(count: int, wordings: Wordings = WORDINGS) -> list[tuple[Truth, str]]:
    rng = random.Random(0)
    drawn = [truth(rng) for _ in range(count)]
    return [(scene, write(scene, wordings, rng)) for scene in drawn]


def test_the_labels_of_5000_random_scenes_are_read_back() -> None:
    left_out = 0
    for scene, caption in scenes(5000):
        said = READER.labels(caption)
        meant = [e.label for e in scene.events] + ([scene.ambience] if scene.ambience else [])
        assert len(caption.split()) <= MOST_WORDS
        assert match_events(meant, said).extras == 0, caption
        if (missing := len(meant) - match_events(meant, said).hits) > 0:
            assert len(said) == len(meant) - missing >= 3  # Too many words for all of them.
            left_out += 1
    assert left_out < 100


def test_what_does_not_fit_is_left_out_the_background_first_and_then_the_faintest() -> None:
    labels = ["Bark", "Meow", "Moo", "Owl", "Frog"]
    long = {label: [parse_wording(f"a {label.lower()} / make / a long call")] for label in labels}
    wordings = replace(WORDINGS, labels={**WORDINGS.labels, **long})
    reader = Reader(wordings)
    events = [event_at(label, 0.0, 5.0, -float(i)) for i, label in enumerate(labels)]
    for count, said, rain in ((3, 3, True), (4, 3, False), (5, 3, False)):
        scene = Truth(5.0, tuple(events[:count]), "Rain")
        named = reader.labels(write(scene, wordings, random.Random(0)))
        meant = [*labels[:said], *(["Rain"] if rain else [])]
        assert (len(named), match_events(meant, named).hits) == (len(meant), len(meant))


def test_order_overlap_counts_and_distance_are_said_only_when_they_are_true() -> None:
    told = set()
    for scene, caption in scenes(3000):
        clauses = READER.read(caption)
        events = {e.label: e for e in scene.events}

        def event(
            clause: Named, events: dict[str, Event] = events, scene: Truth = scene
        ) -> Event | None:
            found = [events[label] for label in clause.labels if label in events]
            if scene.ambience in clause.labels or len(found) != 1:
                return None  # two that sound alike: not known which
            return found[0]

        for before, after in itertools.pairwise(clauses):
            one, two = event(before), event(after)
            told.add(after.link)
            if one is None or two is None:
                continue  # an ambience sounds all along
            if after.link in ("then", "before", "followed by"):
                assert follows(one, two), caption
            elif after.link in ("while", "as"):
                assert together(one, two), caption
        for clause in clauses:
            heard = event(clause)
            told.add(clause.told)
            if clause.told == "in the background":
                assert scene.ambience in clause.labels
            elif heard is None:
                assert clause.told == "" or len(clause.labels) > 1, caption
            elif clause.told in (*COUNTS.values(), MANY):
                assert heard.label in WORDINGS.countable
                assert COUNTS.get(len(heard.times_s), MANY) == clause.told
            elif clause.told in DISTANCES.values():
                assert DISTANCES[heard.distance] == clause.told
    assert told >= {"then", "before", "followed by", "while", "as", "and", "with"}
    assert told >= {"twice", "three times", "several times", "nearby", "in the distance"}
    assert told >= {"faintly", "loudly"}


def test_a_quiet_scene_is_called_so_and_names_nothing() -> None:
    rng = random.Random(0)
    said = {write(Truth(5.0, ()), WORDINGS, rng) for _ in range(50)}
    assert said == set(WORDINGS.quiet)
    assert all(READER.read(caption) == [] for caption in said)


def test_words_of_no_wording_name_nothing() -> None:
    read = READER.labels("a dog barks while a unicorn sings then rain falls")
    assert [sorted(labels) for labels in read] == [["Bark"], [], ["Rain", "Rain on surface"]]
    assert READER.labels("a dog barks at night") == [frozenset()]
    assert READER.labels("a dog") == [frozenset()]


def event_at(label: str, start: float, end: float, level: float = 0.0) -> Event:
    return Event(label, ((start, end),), level)


def test_labels_that_are_not_known_well_are_said_by_their_group() -> None:
    scene = Truth(5.0, (event_at("Bark", 0.0, 1.0), event_at("Slam", 2.0, 3.0)), "Rain")
    rng = random.Random(0)
    for _ in range(50):
        said = READER.labels(write(scene, WORDINGS, rng, general={"Bark", "Rain"}))
        assert sorted(map(sorted, said)) == [["Slam"], ["dog"], ["weather"]]


def test_a_group_may_be_the_label_of_an_event() -> None:
    said = READER.read(write(Truth(5.0, (event_at("door", 0.0, 1.0),)), WORDINGS, random.Random(0)))
    assert [(c.labels, c.groups) for c in said] == [({"door"}, frozenset())]


def test_two_sounds_that_are_said_in_the_same_words_are_said_once() -> None:
    first, second = event_at("Bark", 0.0, 1.0, -9.0), event_at("Whimper (dog)", 2.0, 3.0, -3.0)
    scene = Truth(5.0, (first, second, event_at("Bear", 4.0, 5.0)), "Growling")
    merged = generalised(scene, WORDINGS.ontology, {"Bark", "Whimper (dog)", "Bear", "Growling"})
    # The bear is one of the animals that growl all along.
    assert merged == Truth(
        5.0, (Event("dog", ((0.0, 1.0), (2.0, 3.0)), -3.0),), "wild animal"
    )  # fmt: skip
    assert generalised(scene, WORDINGS.ontology, set()) == scene


def test_a_caption_is_the_same_for_the_same_seed() -> None:
    assert scenes(50) == scenes(50)


def test_the_committed_sample_is_what_the_grammar_writes() -> None:
    """After a change: python -m distill.captions.sample > docs/captions.md."""
    assert (ROOT / "docs" / "captions.md").read_text(encoding="utf-8") == sample_page()
