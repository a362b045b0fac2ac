"""What a run is asked to measure with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """Paths are text, for workers are told them as JSON; empty where there is none."""

    recording: str  # what the loop hears
    folder: str = ""  # of recordings, for the batch; the recording in pieces if empty
    corpus: str = ""  # with held-back clips, for the quality
    scenes: int = 300  # of the quality, beside the clips
    live_s: float = 45.0  # of the recording are played in real time
    microphones_s: float = 12.0  # for which so many microphones are listened to
