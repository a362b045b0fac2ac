"""Scenes from single sounds, and what is true of them, after arXiv 2403.04594.

A scene is made from a seed and its number alone: events are drawn, placed, sent through a room and
mixed over an ambience or room tone; then the mixture itself is asked what of them can be heard,
and only that is true of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from distill.corpus.dataset import Clip
from distill.scenes.annotations import Event, Truth
from distill.scenes.audibility import audible_times, band_power, level_db
from distill.scenes.mic_augment import DeviceSpec, through_device
from distill.scenes.noise import NOISES, RATE, shaped_noise, trim
from distill.scenes.room_augment import RoomSpec, placed_in_room
from edge.features import Floats

COUNTED_S = 1.5  # the longest sound that is counted as one
ALIKE = 2.5  # how much longer than another it may be


@dataclass(frozen=True)
class SceneSpec:
    """The distributions that scenes are drawn from; pairs are the ends of uniform ones."""

    quiet_share: float = 0.05  # scenes in which nothing is heard
    noise_share: float = 0.04  # scenes of plain noise
    events: tuple[float, ...] = (0.55, 0.28, 0.12, 0.05)  # shares of one to four events
    ambience_share: float = 0.35  # of the scenes with events: over an ambience clip
    again: tuple[float, ...] = (0.6, 0.2, 0.1, 0.1)  # shares of an event heard once to four times
    pause_s: tuple[float, float] = (0.3, 1.5)  # before an event comes again
    sequence_share: float = 0.4  # of two or more events: one after the other
    event_db: tuple[float, float] = (-14.0, 0.0)  # an event's level, re the loudest
    ambience_db: tuple[float, float] = (-22.0, -8.0)  # re the loudest event
    room_db: tuple[float, float] = (-50.0, -20.0)  # room tone, re the loudest event
    room_exponent: tuple[float, float] = (0.5, 2.0)
    clean_share: float = 0.1  # of scenes with events: no room tone, no noise, as studios deliver
    quiet_db: tuple[float, float] = (-90.0, -66.0)  # re full scale, of quiet scenes
    speed_share: float = 0.5  # of clips that are played faster or slower
    speed: tuple[float, float] = (0.87, 1.15)
    room: RoomSpec = field(default_factory=RoomSpec)
    device: DeviceSpec = field(default_factory=DeviceSpec)


@dataclass(frozen=True)
class Scene:
    """Audio at `RATE` and what is true of it."""

    audio: Floats
    truth: Truth


class Simulator:
    """Makes scenes from clips that are held in memory as 16-bit samples at `RATE`."""

    def __init__(
        self, clips: list[Clip], audio: list[NDArray[np.int16]], spec: SceneSpec, seed: int
    ) -> None:
        self.spec, self.seed = spec, seed
        self._audio = [trim(samples) for samples in audio]
        self._clips = clips
        self._by_label: dict[str, list[int]] = {}
        for i, clip in enumerate(clips):
            self._by_label.setdefault(clip.label, []).append(i)
        self._labels = sorted(self._by_label)
        # Between one share per label and one per clip: rare labels are heard, not learnt by heart.
        counts = np.sqrt([len(self._by_label[label]) for label in self._labels])
        self._shares = counts / counts.sum()
        self._most = max(1, len(self._by_label.keys() - NOISES.keys()))
        kinds = {clip.label: clip.kind for clip in clips}
        self._ambiences = [label for label in self._labels if kinds[label] == "ambience"]
        self._rooms = [
            shaped_noise(np.random.default_rng([seed, n]), 30 * RATE, exponent)
            for n, exponent in enumerate(np.linspace(*spec.room_exponent, 4))
        ]

    def scene(self, number: int, seconds: float) -> Scene:
        """Scene `number`, `seconds` long (rounded to 0.1 s: FFTs of other lengths are slow)."""
        rng = np.random.default_rng([self.seed, number])
        size = round(seconds * 10) * RATE // 10
        draw = rng.random()
        if draw < self.spec.quiet_share:
            noise = shaped_noise(rng, size, rng.uniform(*self.spec.room_exponent))
            gain = np.float32(10.0 ** (rng.uniform(*self.spec.quiet_db) / 20.0))
            return Scene(noise * gain, Truth(size / RATE, ()))
        if draw < self.spec.quiet_share + self.spec.noise_share:
            label = str(rng.choice(sorted(NOISES)))
            noise = shaped_noise(rng, size, NOISES[label] + rng.uniform(-0.25, 0.25))
            audio = through_device(rng, noise, self.spec.device)
            return Scene(audio, Truth(size / RATE, (), ambience=label))
        return self._mixture(rng, size)

    def _mixture(self, rng: np.random.Generator, size: int) -> Scene:
        """One to four events, over an ambience or room tone."""
        spec = self.spec
        # Of few labels, a scene holds each once at the most.
        count = min(1 + int(rng.choice(4, p=spec.events)), self._most)
        labels = self._draw(rng, count)
        in_sequence = count > 1 and rng.random() < spec.sequence_share
        edges = np.linspace(0, size, count + 1).astype(int) if in_sequence else None
        stems, distances = [], []
        for i in range(count):
            start, end = (int(edges[i]), int(edges[i + 1])) if edges is not None else (0, size)
            stem = np.zeros(size, np.float32)
            stem[start:end] = self._sounding(rng, labels[i], end - start)
            stem, distance = placed_in_room(rng, stem, spec.room)
            db = rng.uniform(*spec.event_db) if i else 0.0
            stems.append(_at_level(stem, db))
            distances.append(distance)
        ambience = ""
        rest = np.zeros(size, np.float32)
        if self._ambiences and rng.random() < spec.ambience_share:
            name = str(rng.choice(self._ambiences))
            if name not in labels:
                ambience = name
                rest = _at_level(self._filling(rng, name, size), rng.uniform(*spec.ambience_db))
        room = self._rooms[int(rng.integers(len(self._rooms)))]
        room = room[int(rng.integers(len(room) - size)) :][:size]
        clean = rng.random() < spec.clean_share
        floor = room * np.float32(0.0 if clean else 10.0 ** (rng.uniform(*spec.room_db) / 20.0))
        mixture = floor + rest + sum(stems)
        power = band_power(floor, RATE) + band_power(rest, RATE)
        powers = [band_power(stem, RATE) for stem in stems]
        total = power + sum(powers)
        if ambience and not audible_times(power, total - power):
            mixture, total, ambience = mixture - rest, total - power, ""
        kept = []
        for label, stem, own, distance in zip(labels, stems, powers, distances, strict=True):
            times = audible_times(own, total - own)
            if times:
                kept.append((label, stem, counted(times), distance))
            else:  # taken out, so that no trace of it is there unsaid
                mixture, total = mixture - stem, total - own
        whole_db = level_db(mixture)
        events = [
            Event(label, times, round(level_db(stem) - whole_db, 1), distance)
            for label, stem, times, distance in kept
        ]
        events.sort(key=lambda event: event.start_s)
        device = replace(spec.device, noise_db=None) if clean else spec.device
        audio = through_device(rng, mixture, device)
        return Scene(audio, Truth(size / RATE, tuple(events), ambience))

    def _draw(self, rng: np.random.Generator, count: int) -> list[str]:
        """Labels without repetition; noises are scenes of their own."""
        chosen: list[str] = []
        while len(chosen) < count:
            label = str(rng.choice(self._labels, p=self._shares))
            if label not in chosen and (count == 1 or label not in NOISES):
                chosen.append(label)
        return chosen

    def _sounding(self, rng: np.random.Generator, label: str, size: int) -> Floats:
        """`size` samples in which `label` is heard, once or again, or all along."""
        index = int(rng.choice(self._by_label[label]))
        if self._clips[index].kind in ("ambience", "music"):
            return self._filling(rng, label, size)
        times = 1 + int(rng.choice(4, p=self.spec.again))
        out = np.zeros(size, np.float32)
        audio = self._clip(rng, index, size)
        # As a sliding window has it: up to a third may lie outside.
        at = int(rng.integers(-len(audio) // 3, max(1, size - 2 * len(audio) // 3)))
        for _ in range(times):
            if at >= size:
                break
            heard = audio[max(0, -at) : size - at]
            out[max(0, at) :][: len(heard)] += heard
            at += len(audio) + int(RATE * rng.uniform(*self.spec.pause_s))
            audio = self._clip(rng, self._another(rng, index), size)
        return out

    def _another(self, rng: np.random.Generator, index: int) -> int:
        """Another clip of the same label and source, so that it sounds like the same dog."""
        clip = self._clips[index]
        alike = [i for i in self._by_label[clip.label] if self._clips[i].source == clip.source]
        return int(rng.choice(alike)) if rng.random() < 0.3 else index

    def _clip(self, rng: np.random.Generator, index: int, size: int) -> Floats:
        """A clip, or a cut of `size` samples of it, at its own speed or another."""
        audio = self._audio[index]
        speed = rng.uniform(*self.spec.speed) if rng.random() < self.spec.speed_share else 1.0
        needed = int(np.ceil(size * speed)) + 1
        if len(audio) > needed:
            start = int(rng.integers(len(audio) - needed + 1))
            audio = audio[start : start + needed]
        samples = audio.astype(np.float32) / np.float32(32768.0)
        return (samples if speed == 1.0 else _played_at(samples, speed))[:size]

    def _filling(self, rng: np.random.Generator, label: str, size: int) -> Floats:
        """`size` samples of a clip of `label`, looped where it is shorter."""
        return np.resize(self._clip(rng, int(rng.choice(self._by_label[label])), size), size)


def counted(times: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    """`times` as they are if a listener would count them so; else the whole stretch as one.

    Bursts that are long, or of unlike length, may each be several: three barks, and then a fourth.
    """
    lengths = [end - start for start, end in times]
    if max(lengths) <= COUNTED_S and max(lengths) <= ALIKE * min(lengths):
        return times
    return ((times[0][0], times[-1][1]),)


def _played_at(audio: Floats, speed: float) -> Floats:
    """`audio` played at `speed`, by linear interpolation."""
    at = np.arange(0.0, max(1, len(audio) - 1), speed, dtype=np.float32)
    left = np.minimum(at.astype(np.int64), max(0, len(audio) - 2))
    part = at - left
    return audio[left] * (1.0 - part) + audio[np.minimum(left + 1, len(audio) - 1)] * part


def _at_level(stem: Floats, db: float) -> Floats:
    """`stem` with its loud parts at `db` re an RMS of 1."""
    return stem * np.float32(10.0 ** ((db - level_db(stem)) / 20.0))
