"""Track events: join the captions of overlapping windows that name the same sound.

A caption is split into clauses, one for each sound. An event opens when enough windows name its
sound. It shows the words with the highest summed confidence. It closes when windows no longer name
the sound.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from edge.streaming.pipeline import Caption

# The words that join the clauses of a caption, as in "a dog barks while rain falls".
LINK = re.compile(r" (?:while|as|and then|and|then|before|followed by|with) ")
# Words ignored when clauses are compared: function words and generic subjects ("a man speaks"
# equals "a person speaks").
PLAIN = {
    *("a", "an", "the", "is", "are", "of", "in", "on", "at", "to", "another"),
    *("someone", "something", "person", "people", "man", "men", "woman", "women"),
    *("background", "distance", "nearby", "twice", "three", "times", "several"),
    *("faintly", "loudly"),
}
# Endings removed from words before they are compared, so that "barks" equals "barking".
ENDING = re.compile(r"(?:ies|y|ing|es|ed|s|e)$")


@dataclass(frozen=True)
class EventTrackerSpec:
    """Thresholds of the tracker; `aac-bench run --scenario track` measures their effect."""

    # An event opens when the windows that name it sum to this evidence. Each window adds its
    # confidence times the seconds between windows.
    evidence_s: float = 1.3
    missed_s: float = 2.0  # An event closes after windows do not name it for so many seconds.
    # Other words replace the shown ones if their summed confidence is larger by this factor.
    better: float = 1.5
    # Seconds of a sound that a window must contain before a caption names it.
    heard_s: float = 0.75
    # The next values apply when a source ends, with no time for more evidence; see
    # `EventTracker.end`.
    end_share: float = 0.6  # Share of `evidence_s` that opens an event.
    # If the windows of a source advance by less than this in total, any named sound may open.
    few_s: float = 3.0


@dataclass(frozen=True)
class Event:
    """One sound, as known so far. Times are in seconds since the first sample."""

    number: int  # From 1; all changes of one event have the same number.
    start_s: float
    end_s: float  # The end so far, while the event is open.
    text: str
    confidence: float  # Mean confidence of the windows that name the event.
    open: bool


@dataclass
class _Sound:
    """A sound that the tracker follows, as an event or not yet."""

    start_s: float
    last: Caption  # The last window that named the sound.
    missed_s: float = 0.0  # Seconds of later windows that do not name the sound.
    number: int = 0  # Number of the event; 0 until it opens.
    text: str = ""  # The words that are shown.
    evidence_s: float = 0.0  # Sum of confidence times seconds between windows.
    windows: int = 0  # Number of windows that named the sound.
    confidence_sum: float = 0.0  # Summed confidence of those windows.
    # Summed confidence for each wording of the sound.
    votes: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def best(self) -> str:
        """The words with the highest summed confidence."""
        return max(self.votes, key=lambda words: self.votes[words])


class EventTracker:
    """Turn captions, pushed in order, into events that open, are reworded and close."""

    def __init__(
        self,
        hop_s: float,
        spec: EventTrackerSpec | None = None,
        numbers: Iterator[int] | None = None,
    ) -> None:
        """Prepare for a new stream.

        Parameters
        ----------
        hop_s
            Seconds from one window to the next.
        spec
            Thresholds; the defaults if None.
        numbers
            Numbers for the events, in order; from 1 if None.
        """
        self._hop_s, self._spec = hop_s, spec or EventTrackerSpec()
        self._sounds: list[_Sound] = []
        self._numbers = numbers or count(1)
        self._before: Caption | None = None  # The last window.
        self._windows = 0  # Number of windows since the start or the last gap.

    def push(self, caption: Caption) -> Iterator[Event]:
        """Push the next caption, and yield each event that opens, is reworded or closes."""
        if self._before is not None and caption.start_s > self._before.end_s:
            self._windows = 0
        self._windows += 1
        for sound in [s for s in self._sounds if caption.start_s > s.last.end_s]:
            yield from self._close(sound)
        clauses = clauses_of(caption.text) if caption.state == "caption" else []
        named = [self._match(clause, caption) for clause in clauses]
        for sound in list(self._sounds):
            if any(sound is one for one in named):
                yield from self._show(sound)
            elif caption.state != "listening":  # "listening" does not tell if the sound is present.
                sound.missed_s += self._hop_s
                if sound.missed_s >= self._spec.missed_s:
                    yield from self._close(sound)
        self._before = caption

    def end(self, source_ended: bool = False) -> Iterator[Event]:
        """Close all open events, because no more windows follow.

        Parameters
        ----------
        source_ended
            True if the source itself ends. Few windows contain a sound that begins shortly before
            the end, or any sound of a short source. So sounds with less evidence open first.
        """
        for sound in self._openable_at_end() if source_ended else []:
            yield self._open(sound)
        for sound in list(self._sounds):
            yield from self._close(sound)

    def _openable_at_end(self) -> list[_Sound]:
        """Return the sounds that open because the source ends.

        The last window must name them, and a share of the usual evidence is enough. If a source of
        few windows would have no event at all, all sounds of its last window open, or else all
        sounds.
        """
        spec = self._spec
        hidden = [sound for sound in self._sounds if not sound.number]
        named = [sound for sound in hidden if not sound.missed_s]
        found = [s for s in named if s.evidence_s >= spec.end_share * spec.evidence_s]
        few = self._windows == 1 or self._windows * self._hop_s < spec.few_s
        no_event = not found and len(hidden) == len(self._sounds)
        return (named or hidden) if few and no_event else found

    def _match(self, clause: str, caption: Caption) -> _Sound:
        """Return the sound that `clause` names, known or new, after adding this evidence."""
        for sound in self._sounds:
            if any(same(clause, words) for words in sound.votes):
                break
        else:
            sound = _Sound(self._estimate_start_s(caption), caption)
            self._sounds.append(sound)
        sound.last, sound.missed_s = caption, 0.0
        sound.windows += 1
        sound.confidence_sum += caption.confidence
        sound.evidence_s += caption.confidence * self._hop_s
        sound.votes[clause] += caption.confidence
        return sound

    def _estimate_start_s(self, caption: Caption) -> float:
        """Return the start in seconds of a sound that `caption` is the first to name.

        The window before contains less than `heard_s` of the sound, and this window at least as
        much. So the start lies within one hop, and the estimate is the middle of that range.
        """
        before = self._before
        if before is None or caption.start_s > before.end_s:
            return caption.start_s  # No window covers the time before.
        return max(caption.start_s, caption.end_s - self._hop_s / 2.0 - self._spec.heard_s)

    def _show(self, sound: _Sound) -> Iterator[Event]:
        """Yield the event of a sound that was just named, if it opens or its words change."""
        spec, best = self._spec, sound.best
        if not sound.number:
            if sound.evidence_s < spec.evidence_s:
                return
            yield self._open(sound)
        elif sound.votes[best] > spec.better * sound.votes[sound.text]:
            sound.text = best
            yield _event(sound, sound.last.end_s, is_open=True)

    def _open(self, sound: _Sound) -> Event:
        sound.number, sound.text = next(self._numbers), sound.best
        return _event(sound, self._estimate_end_s(sound), is_open=True)

    def _close(self, sound: _Sound) -> Iterator[Event]:
        self._sounds = [one for one in self._sounds if one is not sound]
        if sound.number:
            yield _event(sound, self._estimate_end_s(sound), is_open=False)

    def _estimate_end_s(self, sound: _Sound) -> float:
        """Return the end of `sound` in seconds.

        The last window that names a sound contains at least `heard_s` of it, and the next window
        less. So the end lies within one hop, and the estimate is the middle of that range. A sound
        that the newest window names lasts to the end of that window.
        """
        end_s = sound.last.end_s
        if sound.missed_s:
            end_s = min(end_s, sound.last.start_s + self._hop_s / 2.0 + self._spec.heard_s)
        return end_s


def _event(sound: _Sound, end_s: float, is_open: bool) -> Event:
    return Event(
        number=sound.number,
        start_s=round(sound.start_s, 3),
        end_s=round(max(sound.start_s, end_s), 3),
        text=sound.text,
        confidence=round(sound.confidence_sum / sound.windows, 3),
        open=is_open,
    )


def clauses_of(text: str) -> list[str]:
    """Return the clauses of a caption, each once: "a dog barks while rain falls" has two."""
    return list(dict.fromkeys(clause for clause in LINK.split(text) if clause))


def same(one: str, other: str) -> bool:
    """Return True if two clauses name the same sound, as "a dog barks" and "a dog is barking".

    They do if their first words are equal, without the words in `PLAIN` and without endings.
    """
    first, second = _stems(one), _stems(other)
    return first[:1] == second[:1] if first and second else one == other


def _stems(clause: str) -> list[str]:
    """Return the words of `clause` without those in `PLAIN`, and without endings."""
    words = [word for word in clause.split() if word not in PLAIN]
    return [ENDING.sub("", word) for word in words]
