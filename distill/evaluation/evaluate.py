"""How well bundles and teachers caption what was held back, with confidence intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

from distill.captions.caption_parser import Named, Reader, read
from distill.evaluation.caption_scores import (
    MetricError,
    Scores,
    corpus_metrics,
    sentence_similarity,
)
from distill.evaluation.eval_set import ENOUGH, Item, common_labels, is_noise
from distill.evaluation.inference import Told
from distill.evaluation.metrics import bootstrap, match_events, order_holds, wilson

RULE = (
    "Rule: a sound counts as named if a clause of the caption is, word for word, one of the "
    "wordings of its label, or of a kind of it (a man speaks: speech)."
)


@dataclass(frozen=True)
class Answer:
    """One item, and what a system said of it."""

    item: Item
    told: Told
    named: list[Named]

    @property
    def meant(self) -> list[frozenset[str]]:
        return [clause.labels for clause in self.named]

    @property
    def covered(self) -> list[frozenset[str]]:
        """Return the labels of each clause and their groups, which clips may be labelled with."""
        return [clause.labels | clause.groups for clause in self.named]


@dataclass(frozen=True)
class Figure:
    """One line of the table for one system."""

    value: float
    low: float
    high: float
    count: int  # what it is measured on
    percent: bool = True


def answers(items: Iterable[Item], listen: Callable[[Item], Told], reader: Reader) -> list[Answer]:
    found = []
    for item in items:
        told = listen(item)
        found.append(Answer(item, told, read(reader, told.text)))
    return found


def figures(answers: list[Answer]) -> dict[str, Figure]:
    """Every measure of one system, by name."""
    of: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        of[answer.item.kind].append(answer)
    common = common_labels([a.item.clip for a in of["clip"] if a.item.clip])
    often = [a for a in of["clip"] if a.item.labels[0] in common]
    out = {
        f"single clips, labels with {ENOUGH} or more": _share(often, _names_all),
        "... of sources that are trained on": _share(
            [a for a in often if a.item.clip and a.item.clip.split == "val"], _names_all
        ),
        "... of packages that are not": _share(
            [a for a in often if a.item.clip and a.item.clip.split == "test"], _names_all
        ),
        "single clips, all labels": _share(of["clip"], _names_all),
        "single clips without an untrue clause": _share(of["clip"], _says_no_more),
        "both of two sounds, at once": _share(of["pair"], _names_all),
        "both of two sounds, in sequence": _share(of["sequence"], _names_all),
        "order, where both are named": _order(of["sequence"]),
        "both of two sounds, at once: one said twice": _share(of["pair"], _repeats),
        **_precision_and_recall(of["scene"]),
        "silence: windows with an event": _share(of["quiet"], _says_event),
        "noise: windows with an event": _share(of["noise"], _says_event),
    }
    return out | _text_scores(of["scene"])


def reasons_missing(answers: list[Answer]) -> dict[str, str]:
    """Why a text metric is not in the table."""
    scenes = [a for a in answers if a.item.kind == "scene"]
    return _scored(*_texts(scenes))[1].missing if scenes else {}


def _names_all(answer: Answer) -> bool:
    return match_events(answer.item.labels, answer.covered).misses == 0


def _says_no_more(answer: Answer) -> bool:
    return bool(answer.told.text) and match_events(answer.item.labels, answer.covered).extras == 0


def _repeats(answer: Answer) -> bool:
    """Whether two clauses may mean the same sound: "a dog barks and a dog is barking"."""
    return any(one & two for one, two in combinations(answer.meant, 2))


def _says_event(answer: Answer) -> bool:
    """Whether what is said is more than noise; these items are one window each."""
    return any(not labels or not all(map(is_noise, labels)) for labels in answer.meant)


def _share(chosen: list[Answer], holds: Callable[[Answer], bool]) -> Figure:
    hits = sum(map(holds, chosen))
    return _figure(hits, len(chosen))


def _figure(hits: int, total: int) -> Figure:
    return Figure(hits / max(1, total), *wilson(hits, total), total)


def _order(chosen: list[Answer]) -> Figure:
    judged = [order_holds(a.item.labels, a.named) for a in chosen]
    counted = [right for right in judged if right is not None]
    return _figure(sum(counted), len(counted))


def _precision_and_recall(scenes: list[Answer]) -> dict[str, Figure]:
    heard = [match_events(a.item.labels, a.covered) for a in scenes]
    hits = sum(h.hits for h in heard)
    said, true = hits + sum(h.extras for h in heard), hits + sum(h.misses for h in heard)
    return {
        "scenes: event precision": _figure(hits, said),
        "scenes: event recall": _figure(hits, true),
    }


def _text_scores(scenes: list[Answer]) -> dict[str, Figure]:
    """The metrics of the literature, on scenes with several references; none without scenes."""
    if not scenes:
        return {}
    count = len(scenes)
    similar, scores = _scored(*_texts(scenes))
    out = {}
    if similar:
        mean = sum(similar) / count
        out["scenes: sentence similarity"] = Figure(mean, *bootstrap(similar), count, False)
    for name, value in scores.values.items():
        out[f"scenes: {name}"] = Figure(value, value, value, count, False)
    return out


def _texts(scenes: list[Answer]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """What was said of `scenes`, and their references."""
    return tuple(a.told.text for a in scenes), tuple(a.item.references for a in scenes)


# The table, the manifest and the reasons all ask: METEOR and MiniLM are slow.
@lru_cache(maxsize=8)
def _scored(
    texts: tuple[str, ...], references: tuple[tuple[str, ...], ...]
) -> tuple[list[float], Scores]:
    """Sentence similarity of each caption (none without its package), and the other metrics."""
    try:
        similar = sentence_similarity(texts, references)
    except MetricError:
        similar = []
    return similar, corpus_metrics(texts, references)
