"""The distributions that scenes are drawn from."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import yaml

from distill.corpus.ontology import HERE
from distill.scenes.mic_augment import DeviceSpec
from distill.scenes.room_augment import RoomSpec


@lru_cache(maxsize=1)
def load_series() -> dict[str, tuple[float, float]]:
    """Return the labels that sound in series, with the shortest and longest interval in seconds."""
    labels = yaml.safe_load((HERE / "labels.yaml").read_text(encoding="utf-8"))
    return {name: tuple(entry["series"]) for name, entry in labels.items() if "series" in entry}


@dataclass(frozen=True)
class SceneSpec:
    """Distributions of scenes; pairs are the ends of uniform ones, shares add up to 1 or less."""

    # What a scene is
    quiet_share: float = 0.05  # Scenes in which nothing is heard.
    noise_share: float = 0.04  # Scenes of plain noise.
    wind_share: float = 0.02  # Scenes of wind on the microphone alone.
    quiet_db: tuple[float, float] = (-90.0, -66.0)  # Of quiet scenes re full scale.

    # Events
    events: tuple[float, ...] = (0.55, 0.28, 0.12, 0.05)  # Shares of one to four events.
    again: tuple[float, ...] = (0.6, 0.2, 0.1, 0.1)  # Shares of an event heard once to four times.
    pause_s: tuple[float, float] = (0.3, 1.5)  # Before an event comes again.
    sequence_share: float = 0.4  # Of scenes of several events: one after the other.
    event_db: tuple[float, float] = (-14.0, 0.0)  # An event's level re the loudest.
    cut_share: float = 1 / 3  # Of an event may lie before the scene, twice as much after it.
    begin_share: float = 0.4  # Of ambience and music as events: begins within the scene.
    end_share: float = 0.4  # Of these: ends within the scene.
    fade_s: tuple[float, float] = (0.02, 1.0)  # Of such a begin or end.
    speed_share: float = 0.5  # Of clips that are played faster or slower.
    speed: tuple[float, float] = (0.87, 1.15)

    # Series of strokes: steps, keys, knocks, drips
    series: dict[str, tuple[float, float]] = field(default_factory=load_series)  # Interval in s.
    stroke_s: float = 1.2  # A longer clip of such a label is taken for a series as it is.
    strokes: tuple[int, int] = (3, 12)
    stroke_jitter: float = 0.15  # Of the interval.
    stroke_db: tuple[float, float] = (-4.0, 0.0)  # Level of a stroke.

    # Background
    ambience_share: float = 0.4  # Of scenes with events: over an ambience clip.
    ambience_db: tuple[float, float] = (-22.0, -6.0)  # Re the loudest event.
    ambience_s: float = 2.0  # Shorter clips are no background.
    microphone_wind_share: float = 0.05  # Of scenes with events but without an ambience.
    room_db: tuple[float, float] = (-50.0, -20.0)  # Room tone re the loudest event.
    far_room_db: tuple[float, float] = (-30.0, -10.0)  # Where the microphone is far from it.
    room_exponent: tuple[float, float] = (0.5, 2.0)  # Of the spectrum of room tone, 1 / f^x.
    clean_share: float = 0.1  # Of scenes with events: no room tone, no noise, as studios deliver.

    room: RoomSpec = field(default_factory=RoomSpec)
    device: DeviceSpec = field(default_factory=DeviceSpec)
