"""The caption track: overlapping windows name a sound again and again; these are the events.

A caption is parted into clauses, one for each sound. A sound is shown once windows agree on it,
keeps the words that they are most sure of, and is closed once they no longer name it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from edge.streaming.pipeline import Caption

# What joins the clauses of a caption: "a dog barks while rain falls".
LINK = re.compile(r" (?:while|as|and then|and|then|before|followed by|with) ")
# What does not tell which sound it is. That somebody speaks is plainer than who it is.
PLAIN = {
    *("a", "an", "the", "is", "are", "of", "in", "on", "at", "to", "another"),
    *("someone", "something", "person", "people", "man", "men", "woman", "women"),
    *("background", "distance", "nearby", "twice", "three", "times", "several"),
    *("faintly", "loudly"),
}
ENDING = re.compile(r"(?:ies|y|ing|es|ed|s|e)$")


@dataclass(frozen=True)
class EventTrackerSpec:
    """When a sound is an event; `aac-bench run --scenario track` measures what follows from it."""

    evidence_s: float = 1.3  # seconds between windows, times how sure they are, to show a sound
    missed_s: float = 2.0  # for which windows do not name it, to close it
    better: float = 1.5  # times the confidence that other words must gather to replace those shown
    heard_s: float = 0.75  # of a sound are in a window once it is named
    # As a source ends, there is no time to gather this evidence; see `EventTracker.end`.
    end_share: float = 0.6  # Share of `evidence_s` that is enough then.
    few_s: float = 3.0  # A source whose windows advance by less says what any of them names.


@dataclass(frozen=True)
class Event:
    """One sound, as far as it is known. Times are in seconds since the first sample."""

    number: int  # from 1 on; the same for all that is said of this event
    start_s: float
    end_s: float  # so far, while it is open
    text: str
    confidence: float  # mean of the windows that named it
    open: bool


@dataclass
class _Sound:
    """What is followed, shown or not."""

    start_s: float
    last: Caption  # the window that last named it
    missed_s: float = 0.0  # for which windows since then say something else
    number: int = 0  # 0 until it is shown
    said: str = ""  # the words that are shown
    evidence_s: float = 0.0
    windows: int = 0  # Windows that named it.
    confidence_sum: float = 0.0  # Of those windows.
    votes: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def best(self) -> str:
        """The words that windows are most sure of."""
        return max(self.votes, key=lambda words: self.votes[words])


class EventTracker:
    """Captions in, in their order; events out, each time that one opens, is reworded, or closes."""

    def __init__(
        self,
        hop_s: float,
        spec: EventTrackerSpec | None = None,
        numbers: Iterator[int] | None = None,
    ) -> None:
        """`hop_s`: from one window to the next; `numbers`: of the events, from 1 on if None."""
        self._hop_s, self._spec = hop_s, spec or EventTrackerSpec()
        self._sounds: list[_Sound] = []
        self._numbers = numbers or count(1)
        self._before: Caption | None = None  # the last window
        self._windows = 0  # Windows since the source began, or the last gap.

    def push(self, caption: Caption) -> Iterator[Event]:
        """What `caption` changes."""
        if self._before is not None and caption.start_s > self._before.end_s:
            self._windows = 0
        self._windows += 1
        for sound in [s for s in self._sounds if caption.start_s > s.last.end_s]:
            yield from self._close(sound)
        clauses = clauses_of(caption.text) if caption.state == "caption" else []
        named = [self._named(clause, caption) for clause in clauses]
        for sound in list(self._sounds):
            if any(sound is one for one in named):
                yield from self._show(sound)
            elif caption.state != "listening":  # then it may be there or not
                sound.missed_s += self._hop_s
                if sound.missed_s >= self._spec.missed_s:
                    yield from self._close(sound)
        self._before = caption

    def end(self, source_ended: bool = False) -> Iterator[Event]:
        """Close all open events, as no more windows follow.

        If the source itself ends, few windows can name a sound that begins shortly before, or
        any sound of a short source. So sounds that are not shown yet may open.
        """
        for sound in self._cut_off() if source_ended else []:
            yield self._open(sound)
        for sound in list(self._sounds):
            yield from self._close(sound)

    def _cut_off(self) -> list[_Sound]:
        """Return the hidden sounds that are events, given that no more windows can name them.

        The last window must name them, with a share of the usual evidence. If a source of a few
        windows would then say nothing at all, it says what the last window names, or any.
        """
        spec = self._spec
        hidden = [sound for sound in self._sounds if not sound.number]
        named = [sound for sound in hidden if not sound.missed_s]
        found = [s for s in named if s.evidence_s >= spec.end_share * spec.evidence_s]
        few = self._windows == 1 or self._windows * self._hop_s < spec.few_s
        says_nothing = not found and len(hidden) == len(self._sounds)
        return (named or hidden) if few and says_nothing else found

    def _named(self, clause: str, caption: Caption) -> _Sound:
        """The sound that `clause` of `caption` is about, a new one if there is none like it."""
        for sound in self._sounds:
            if any(same(clause, words) for words in sound.votes):
                break
        else:
            sound = _Sound(self._began_s(caption), caption)
            self._sounds.append(sound)
        sound.last, sound.missed_s = caption, 0.0
        sound.windows += 1
        sound.confidence_sum += caption.confidence
        sound.evidence_s += caption.confidence * self._hop_s
        sound.votes[clause] += caption.confidence
        return sound

    def _began_s(self, caption: Caption) -> float:
        """When a sound began that `caption` is the first to name.

        The window before held less of it than it takes to be named, this one as much or more.
        """
        before = self._before
        if before is None or caption.start_s > before.end_s:
            return caption.start_s  # nobody listened before
        return max(caption.start_s, caption.end_s - self._hop_s / 2.0 - self._spec.heard_s)

    def _show(self, sound: _Sound) -> Iterator[Event]:
        """A sound that was just named: opened if it is time, or with new words."""
        spec, best = self._spec, sound.best
        if not sound.number:
            if sound.evidence_s < spec.evidence_s:
                return
            yield self._open(sound)
        elif sound.votes[best] > spec.better * sound.votes[sound.said]:
            sound.said = best
            yield _event(sound, sound.last.end_s, is_open=True)

    def _open(self, sound: _Sound) -> Event:
        sound.number, sound.said = next(self._numbers), sound.best
        return _event(sound, self._end_s(sound), is_open=True)

    def _close(self, sound: _Sound) -> Iterator[Event]:
        self._sounds = [one for one in self._sounds if one is not sound]
        if sound.number:
            yield _event(sound, self._end_s(sound), is_open=False)

    def _end_s(self, sound: _Sound) -> float:
        """By the same reasoning as it began; a sound that was named to the end has not ended."""
        end_s = sound.last.end_s
        if sound.missed_s:
            end_s = min(end_s, sound.last.start_s + self._hop_s / 2.0 + self._spec.heard_s)
        return end_s


def _event(sound: _Sound, end_s: float, is_open: bool) -> Event:
    return Event(
        number=sound.number,
        start_s=round(sound.start_s, 3),
        end_s=round(max(sound.start_s, end_s), 3),
        text=sound.said,
        confidence=round(sound.confidence_sum / sound.windows, 3),
        open=is_open,
    )


def clauses_of(text: str) -> list[str]:
    """The clauses of a caption, each once: "a dog barks while rain falls" has two."""
    return list(dict.fromkeys(clause for clause in LINK.split(text) if clause))


def same(one: str, other: str) -> bool:
    """Whether two clauses are about one sound: "a dog barks", "a dog is barking".

    They are if what sounds, the first word that tells it, is the same.
    """
    first, second = _stems(one), _stems(other)
    return first[:1] == second[:1] if first and second else one == other


def _stems(clause: str) -> list[str]:
    """The words of `clause` that tell a sound, without their endings."""
    words = [word for word in clause.split() if word not in PLAIN]
    return [ENDING.sub("", word) for word in words]
