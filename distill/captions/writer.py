"""Captions from what is true of a scene: what was drawn is said, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import yaml

from distill.captions.english import Wording, parse_wording
from distill.corpus.ontology import Ontology, load_ontology
from distill.scenes.annotations import Event, Truth

MOST_WORDS = 23  # with its end token a caption then fits the student's 24 steps
FIRST_SHARE = 0.6  # of the preferred wording: a model that has one flickers less
SIMPLE_SHARE = 0.65  # of "a dog barks", re "a dog is barking"
TELL_SHARE = 0.7  # of counts, distances and levels that could be told
FAINT_DB = -15.0  # re the scene
LOUD_DB = 12.0  # above every other sound of the scene
OVERLAP_S = 0.25  # two sounds that share less are not said to sound together
TOUCH_S = 0.1  # that a sound may begin before another ends, and still come after it
TRIES = 30

COUNTS = {2: "twice", 3: "three times"}
MANY = "several times"
DISTANCES = {"near": "nearby", "far": "in the distance"}
TOGETHER = ("while", "as", "and")
SEQUENCE = ("then", "before", "followed by")
BACKGROUND = "in the background"


@dataclass(frozen=True)
class Wordings:
    """The words for each label and group; `wordings.yaml` says how to read them."""

    labels: dict[str, list[Wording]]
    groups: dict[str, list[Wording]]
    former: dict[str, list[Wording]]  # Wordings of earlier models, by label; never written.
    countable: frozenset[str]
    quiet: list[str]
    alike: list[frozenset[str]]
    ontology: Ontology

    @property
    def names(self) -> set[str]:
        """Return the names of all labels and groups."""
        return {*self.labels, *self.groups}

    def of(self, name: str) -> list[Wording]:
        """Return the wordings of a label or a group, the preferred one first."""
        return self.labels[name] if name in self.labels else self.groups[name]


def load_wordings() -> Wordings:
    """Read the table in `wordings.yaml`, beside this module, and the groups of its labels."""
    table = yaml.safe_load(Path(__file__).with_name("wordings.yaml").read_text(encoding="utf-8"))

    def wordings(key: str) -> dict[str, list[Wording]]:
        return {name: [parse_wording(text) for text in texts] for name, texts in table[key].items()}

    return Wordings(
        labels=wordings("labels"),
        groups=wordings("groups"),
        former=wordings("former"),
        countable=frozenset(table["countable"]),
        quiet=table["quiet"],
        alike=[frozenset(group) for group in table["alike"]],
        ontology=load_ontology(),
    )


def write(
    truth: Truth, wordings: Wordings, rng: random.Random, general: Collection[str] = ()
) -> str:
    """Return one caption of `truth`, of at most `MOST_WORDS` words.

    Where not everything fits, the background is left out first, then the faintest events.

    Parameters
    ----------
    truth : Truth
        Events and ambience; their labels may be names of groups.
    general : collection of str
        Labels that are said with the wording of their group only.
    """
    truth = generalised(truth, wordings.ontology, general)
    if not truth.events and not truth.ambience:
        return rng.choice(wordings.quiet)
    while True:
        for attempt in range(TRIES):
            # A caption that is too long is tried in other words, then without details, then short.
            plain, brief = attempt >= TRIES // 3, attempt >= 2 * TRIES // 3
            caption = _Writer(truth, wordings, rng, plain, brief).caption()
            if len(caption.split()) <= MOST_WORDS:
                return caption
        truth = _shortened(truth)


def _shortened(truth: Truth) -> Truth:
    """Return `truth` without its background, or else without its faintest event."""
    if truth.ambience:
        return replace(truth, ambience="")
    faintest = min(truth.events, key=lambda event: event.level_db)
    return replace(truth, events=tuple(event for event in truth.events if event is not faintest))


def generalised(truth: Truth, ontology: Ontology, general: Collection[str]) -> Truth:
    """Return `truth` with the group in place of each label in `general`.

    Events that become the same group are merged into one, so that nothing is said twice; an event
    of the group of the ambience is covered by the ambience.
    """

    def name(label: str) -> str:
        return ontology.group_of[label] if label in general else label

    ambience = name(truth.ambience)
    events: dict[str, Event] = {}
    for event in truth.events:
        label = name(event.label)
        if label == ambience and label != event.label:
            continue
        if (same := events.get(label)) is not None:
            event = Event(
                label,
                tuple(sorted((*same.times_s, *event.times_s))),
                max(same.level_db, event.level_db),
                event.distance if event.distance == same.distance else "",
            )
        events[label] = replace(event, label=label)
    return replace(truth, events=tuple(sorted(events.values(), key=_start)), ambience=ambience)


def _start(event: Event) -> float:
    return event.start_s


def together(one: Event, two: Event) -> bool:
    """Whether two events can be said to sound at once."""
    shared = sum(
        max(0.0, min(a_end, b_end) - max(a_start, b_start))
        for a_start, a_end in one.times_s
        for b_start, b_end in two.times_s
    )
    shorter = min(sum(e - s for s, e in event.times_s) for event in (one, two))
    return shared >= min(OVERLAP_S, 0.5 * shorter)


def follows(first: Event, second: Event) -> bool:
    """Whether `second` can be said to come after `first`."""
    return second.start_s >= first.end_s - TOUCH_S


@dataclass
class _Writer:
    truth: Truth
    wordings: Wordings
    rng: random.Random
    plain: bool
    brief: bool

    def caption(self) -> str:
        ambience = self.truth.ambience
        if not self.truth.events:
            return self._said(self._wording(ambience))
        events = self._events()
        if not ambience:
            return events
        style = self.rng.random()
        # One "while" in a caption is enough.
        linked = any(f" {link} " in events for link in TOGETHER[:2])
        if (linked and not self.brief) or style < 0.25:
            return f"{events} with {self._wording(ambience).gerund()} {BACKGROUND}"
        said = self._said(self._wording(ambience))
        # A sequence has words of its own after it, so there the ambience is said last.
        if style < 0.5 and len(self._groups()) == 1:
            return f"{said} while {events}"
        return f"{events} while {said}"

    def _groups(self) -> list[list[Event]]:
        """The events, in order, parted wherever all that follows comes after all before."""
        groups: list[list[Event]] = []
        for event in self.truth.events:
            if groups and not all(follows(e, event) for group in groups for e in group):
                groups[-1].append(event)
            else:
                groups.append([event])
        return groups

    def _events(self) -> str:
        first, *rest = self._groups()
        text = self._at_once(first)
        for group in rest:
            link = self.rng.choice(SEQUENCE if len(group) == 1 else SEQUENCE[:2])
            if link == "followed by":
                text += f" {link} {self._clause(group[0], gerund=True)}"
            else:
                text += f" {link} {self._at_once(group)}"
        return text

    def _at_once(self, events: Sequence[Event]) -> str:
        """Events of which none is said to come before another."""
        clauses = [self._clause(event) for event in events]
        if len(clauses) == 1:
            return clauses[0]
        if not all(together(a, b) for a, b in combinations(events, 2)):
            return " and ".join(clauses)
        link = self.rng.choice(TOGETHER if len(clauses) == 2 else TOGETHER[:1])
        half = len(clauses) // 2
        return f"{' and '.join(clauses[:half])} {link} {' and '.join(clauses[half:])}"

    def _clause(self, event: Event, gerund: bool = False) -> str:
        wording = self._wording(event.label)
        told = self._told(event, wording)
        if gerund:
            said = wording.gerund()
        elif told in (MANY, *COUNTS.values()):
            said = wording.simple()  # nothing "is barking twice"
        else:
            said = self._said(wording)
        return f"{said} {told}".strip()

    def _told(self, event: Event, wording: Wording) -> str:
        """One thing more that is plain to hear of an event, or nothing."""
        if self.plain or self.rng.random() > TELL_SHARE:
            return ""
        times = len(event.times_s)
        if times > 1 and event.label in self.wordings.countable and not wording.plural:
            return COUNTS.get(times, MANY)
        if event.distance:
            return DISTANCES[event.distance]
        others = [e.level_db for e in self.truth.events if e is not event]
        if event.level_db <= FAINT_DB:
            return "faintly"
        if others and event.level_db >= max(others) + LOUD_DB:
            return "loudly"
        return ""

    def _said(self, wording: Wording) -> str:
        simple = self.brief or self.rng.random() < SIMPLE_SHARE
        return wording.simple() if simple else wording.continuous()

    def _wording(self, label: str) -> Wording:
        first, *rest = self.wordings.of(label)
        if self.brief:
            return min([first, *rest], key=lambda wording: len(wording.simple().split()))
        return first if not rest or self.rng.random() < FIRST_SHARE else self.rng.choice(rest)
