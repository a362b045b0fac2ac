"""From a caption back to the labels that it names: the yardstick of what a model heard."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container
from dataclasses import dataclass, replace

from distill.captions.writer import (
    BACKGROUND,
    COUNTS,
    DISTANCES,
    MANY,
    SEQUENCE,
    TOGETHER,
    Wordings,
)

LINKS = (*TOGETHER, *SEQUENCE, "with")
TOLD = (*COUNTS.values(), MANY, *DISTANCES.values(), "faintly", "loudly", BACKGROUND)
Words = tuple[str, ...]

# A clause that names one of these labels also names the wider label that it stands under.
KINDS = {
    "Speech": {"Male speech", "Female speech", "Child speech", "Radio speech", "Whispering"},
    "Crowd": {"Chatter", "Cheering", "Applause", "Booing"},
    "Screaming": {"Female scream", "Male scream"},
    "Crying, sobbing": {"Woman crying", "Baby cry, infant cry"},
    "Laughter": {"Giggle", "Baby laughter"},
    "Walk, footsteps": {"Run"},
    "Singing": {"Female singing", "Choir"},
    "Bleat": {"Sheep", "Goat"},
    "Bird vocalization, bird call, bird song": {"Chirp, tweet", "Canary", "Robin"},
    "Rain": {"Rain on surface"},
    "Thunderstorm": {"Thunder"},
    "Gunshot, gunfire": {"Machine gun"},
    "Car": {"Car passing by", "Race car, auto racing"},
    "Boat, Water vehicle": {"Motorboat, speedboat"},
    "Train": {"Steam train", "Diesel locomotive", "Electric train", "Subway, metro, underground"},
    "Engine": {"Idling", "Heavy engine"},
    "Power tool": {"Drill", "Jackhammer", "Chainsaw"},
    "Siren": {
        "Police car (siren)",
        "Ambulance (siren)",
        "Fire engine (siren)",
        "Civil defense siren",
    },
    "Alarm": {"Alarm clock", "Smoke alarm", "Car alarm"},
    "Bell": {"Church bell", "Bicycle bell", "Railroad crossing bell", "Jingle bell"},
    "Music": {
        "Orchestra",
        "Classical music",
        "Electronic music",
        "Traditional music",
        "Jazz",
        "Fanfare",
    },
    "Drum": {"Snare drum", "Bass drum", "Timpani", "Tabla", "Bongo", "Conga"},
}


@dataclass(frozen=True)
class Named:
    """One clause of a caption."""

    labels: frozenset[str]  # labels or groups; several where they sound alike; none if unknown
    link: str  # what joins it to the clause before; empty for the first
    told: str  # its count, distance or level
    groups: frozenset[str] = frozenset()  # every group that `labels` belong to


class Reader:
    """Reads captions by a table of wordings."""

    def __init__(self, wordings: Wordings) -> None:
        self._above = {
            name: wordings.ontology.above(name)
            for table in (wordings.labels, wordings.groups)
            for name in table
        }
        self._clauses: dict[Words, set[str]] = defaultdict(set)
        for table in (wordings.labels, wordings.groups, wordings.former):
            for name, entries in table.items():
                for entry in entries:
                    for form in (entry.simple(), entry.continuous(), entry.gerund()):
                        self._clauses[tuple(form.split())].add(name)
        self._quiet = set(wordings.quiet)
        self._longest = max(map(len, self._clauses))
        self._links = {tuple(link.split()) for link in LINKS}
        self._told = {tuple(told.split()) for told in TOLD}

    def read(self, caption: str) -> list[Named]:
        """The clauses of `caption` in order; none if it says that it is quiet.

        The longest clause that fits counts, so that "someone is writing with a pencil" is one.
        """
        if caption in self._quiet:
            return []
        words = tuple(caption.split())
        named: list[Named] = []
        link, at, fresh = "", 0, True
        while at < len(words):
            if fresh and (found := self._match(words, at, self._clauses)):
                labels = frozenset(self._clauses[found])
                groups = frozenset(group for name in labels for group in self._above[name])
                named.append(Named(labels, link, "", groups))
                fresh = False
            elif not fresh and (found := self._match(words, at, self._told)):
                named[-1] = replace(named[-1], told=" ".join(found))
            elif not fresh and (found := self._match(words, at, self._links)):
                link, fresh = " ".join(found), True
            else:  # a word of no wording: its clause names nothing
                found = words[at : at + 1]
                if fresh:
                    named.append(Named(frozenset(), link, ""))
                named[-1] = replace(named[-1], labels=frozenset(), groups=frozenset())
                fresh = False
            at += len(found)
        return named

    def labels(self, caption: str) -> list[frozenset[str]]:
        """What each clause of `caption` names, in order."""
        return [clause.labels for clause in self.read(caption)]

    def _match(self, words: Words, at: int, known: Container[Words]) -> Words:
        """The longest run of `words` from `at` on that is in `known`; empty if there is none."""
        for end in range(min(len(words), at + self._longest), at, -1):
            if words[at:end] in known:
                return words[at:end]
        return ()


def read(reader: Reader, text: str) -> list[Named]:
    """Return the clauses of `text`; each also names what its labels are kinds of (`KINDS`)."""
    return [
        replace(
            clause,
            labels=clause.labels | {name for name, kinds in KINDS.items() if clause.labels & kinds},
        )
        for clause in reader.read(text)
    ]


def vocabulary(wordings: Wordings) -> Counter[str]:
    """Every word that a caption can hold, and in how many clauses and phrases it stands."""
    counts: Counter[str] = Counter()
    for entries in (*wordings.labels.values(), *wordings.groups.values()):
        for entry in entries:
            for form in (entry.simple(), entry.continuous(), entry.gerund()):
                counts.update(form.split())
    for phrase in (*LINKS, *TOLD, *wordings.quiet):
        counts.update(phrase.split())
    return counts
