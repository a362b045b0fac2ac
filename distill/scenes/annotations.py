"""Annotations of a scene: what sounds, and when. The simulation writes them, captions say them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge.inference.features import Floats

Spans = tuple[tuple[float, float], ...]  # Start and end of each time, in seconds and in order.


@dataclass(frozen=True)
class Event:
    """One sound of a scene, heard once or several times."""

    label: str  # A label, or a group for a clip that is labelled with no more.
    times_s: Spans  # Each time that a listener would count; a series is one.
    level_db: float  # Level of its loud parts relative to those of the whole scene.
    distance: str = ""  # "near" or "far" where that is plain to hear, else empty.
    active_s: Spans = ()  # Exact times at which it is audible; pauses above 0.3 s are left out.

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
    events: tuple[Event, ...]  # By start; empty if nothing but the room is heard.
    ambience: str = ""  # Label of the background under the events, if it is audible.
    ambience_s: Spans = ()  # Times at which the background is audible over the events.


def activity(truth: Truth, labels: Sequence[str], step_s: float) -> Floats:
    """Return how much of each frame each label is audible.

    Parameters
    ----------
    truth : Truth
        Annotations of a scene.
    labels : sequence of str
        Labels of the columns; others are left out.
    step_s : float
        Length of a frame in seconds.

    Returns
    -------
    array of float32, shape = (ceil(seconds / step_s), len(labels))
        Share of the frame from 0 to 1.
    """
    frames = int(np.ceil(round(truth.seconds / step_s, 6)))
    starts = np.arange(frames) * step_s
    out = np.zeros((frames, len(labels)), np.float32)
    column = {label: i for i, label in enumerate(labels)}
    sounds = [(event.label, event.active_s) for event in truth.events]
    for label, spans in (*sounds, (truth.ambience, truth.ambience_s)):
        if label not in column:
            continue
        for start, end in spans:
            inside = np.minimum(starts + step_s, end) - np.maximum(starts, start)
            out[:, column[label]] += np.maximum(inside, 0.0) / step_s
    return np.minimum(out, 1.0)
