"""What sounds in a scene, and when: written by the simulation, said by the captions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """One sound of a scene, heard once or several times."""

    label: str
    times_s: tuple[tuple[float, float], ...]  # start and end of each time it is heard, in order
    level_db: float  # of its loud parts, re those of the whole scene
    distance: str = ""  # "near" or "far" where that is plain to hear, else empty

    @property
    def start_s(self) -> float:
        return self.times_s[0][0]

    @property
    def end_s(self) -> float:
        return self.times_s[-1][1]


@dataclass(frozen=True)
class Truth:
    """What is true of a scene."""

    seconds: float
    events: tuple[Event, ...]  # by start; empty if nothing but the room is heard
    ambience: str = ""  # label of what sounds all along under the events, if it can be heard
