"""Scenes from single sounds, and what is true of them, after arXiv 2403.04594.

A scene is made from a seed and its number alone. Events are drawn, placed in a room and mixed over
an ambience, wind on the microphone or room tone. Then the mixture itself decides which of them are
audible through the microphone, and only these are true of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from distill.corpus.dataset import Clip
from distill.scenes.annotations import Event, Spans, Truth
from distill.scenes.audibility import (
    a_weights,
    audible_times,
    band_centres,
    band_power,
    level_db,
    passes,
)
from distill.scenes.mic_augment import Device, draw_device, through_device
from distill.scenes.noise import NOISES, RATE, microphone_wind, shaped_noise, trim
from distill.scenes.room_augment import Room, draw_room, placed_in_room
from distill.scenes.scene_spec import SceneSpec as SceneSpec
from distill.scenes.stems import StemMaker, cut_off
from edge.inference.features import Floats

COUNTED_S = 1.5  # The longest sound that is counted as one.
ALIKE = 2.5  # How many times longer than another it may be.
WIND = "Wind"  # Label of wind on the microphone.
LOOP_S = 30.0  # Length of the noises that room tone and wind are cut from.
LOOPS = 4  # Number of each.


@dataclass(frozen=True)
class Scene:
    """Audio at `RATE` and what is true of it."""

    audio: Floats
    truth: Truth


@dataclass(frozen=True)
class _Stem:
    """One event before it is known whether it is audible."""

    label: str
    audio: Floats
    distance: str


class Simulator:
    """Makes scenes from clips that are held in memory as 16-bit samples at `RATE`."""

    def __init__(
        self, clips: list[Clip], audio: list[NDArray[np.int16]], spec: SceneSpec, seed: int
    ) -> None:
        self.spec, self.seed = spec, seed
        # Labels with too few clips to be said by more than the wording of their group.
        self.general = frozenset(clip.label for clip in clips if clip.level == "group")
        self._stems = StemMaker(clips, [trim(samples) for samples in audio], spec)
        by_label = self._stems.by_label
        self._labels = sorted(by_label)
        # Between one share per label and one per clip: rare labels are heard, not learnt by heart.
        counts = np.sqrt([len(by_label[label]) for label in self._labels])
        self._shares = counts / counts.sum()
        self._most = max(1, len(by_label.keys() - NOISES.keys()))
        self._ambiences = sorted(self._stems.backgrounds)
        size = int(LOOP_S * RATE)
        self._rooms = [
            shaped_noise(np.random.default_rng([seed, n]), size, exponent)
            for n, exponent in enumerate(np.linspace(*spec.room_exponent, LOOPS))
        ]
        self._winds = [
            microphone_wind(np.random.default_rng([seed, LOOPS + n]), size) for n in range(LOOPS)
        ]
        self._centres = band_centres(RATE)
        self._weights = a_weights(self._centres)

    def scene(self, number: int, seconds: float) -> Scene:
        """Return scene `number`, `seconds` long (rounded to 0.1 s: other FFTs are slow)."""
        rng = np.random.default_rng([self.seed, number])
        spec, size = self.spec, round(seconds * 10) * RATE // 10
        draw = rng.random()
        if draw < spec.quiet_share:
            noise = shaped_noise(rng, size, rng.uniform(*spec.room_exponent))
            gain = np.float32(10.0 ** (rng.uniform(*spec.quiet_db) / 20.0))
            return Scene(noise * gain, Truth(size / RATE, ()))
        if draw < spec.quiet_share + spec.noise_share:
            label = str(rng.choice(sorted(NOISES)))
            noise = shaped_noise(rng, size, NOISES[label] + rng.uniform(-0.25, 0.25))
            return self._steady(rng, label, noise)
        if draw < spec.quiet_share + spec.noise_share + spec.wind_share:
            return self._steady(rng, WIND, microphone_wind(rng, size))
        return self._mixture(rng, size)

    def _steady(self, rng: np.random.Generator, label: str, noise: Floats) -> Scene:
        """Return a scene in which only `noise` sounds, all along."""
        seconds = len(noise) / RATE
        device = self.spec.device
        audio = through_device(rng, noise, device, draw_device(rng, device))
        return Scene(audio, Truth(seconds, (), label, ((0.0, seconds),)))

    def _mixture(self, rng: np.random.Generator, size: int) -> Scene:
        """Return a scene of one to four events over a background or room tone."""
        spec = self.spec
        clean = rng.random() < spec.clean_share
        room, device = draw_room(rng, spec.room), draw_device(rng, spec.device)
        stems = self._events(rng, size, room)
        ambience, rest = self._background(rng, size, {stem.label for stem in stems})
        floor = _part(rng, self._rooms, size)
        room_db = rng.uniform(*(spec.far_room_db if room.far_field else spec.room_db))
        floor *= np.float32(0.0 if clean else 10.0 ** (room_db / 20.0))
        mixture, truth = self._audible(stems, floor, ambience, rest, device)
        without_noise = replace(spec.device, noise_db=None)
        audio = through_device(rng, mixture, without_noise if clean else spec.device, device)
        return Scene(audio, truth)

    def _events(self, rng: np.random.Generator, size: int, room: Room) -> list[_Stem]:
        """Draw one to four events, at once or in sequence, each at its distance and level."""
        spec = self.spec
        # Of few labels, a scene holds each once at the most.
        count = min(1 + int(rng.choice(4, p=spec.events)), self._most)
        labels = self._draw(rng, count)
        in_sequence = count > 1 and rng.random() < spec.sequence_share
        edges = np.linspace(0, size, count + 1).astype(int) if in_sequence else None
        stems = []
        for i, label in enumerate(labels):
            start, end = (int(edges[i]), int(edges[i + 1])) if edges is not None else (0, size)
            stem = np.zeros(size, np.float32)
            stem[start:end] = self._stems.event(rng, label, end - start)
            cut_off(stem, start, end)
            stem, distance = placed_in_room(rng, stem, spec.room, room)
            db = rng.uniform(*spec.event_db) if i else 0.0
            stems.append(_Stem(label, _at_level(stem, db), distance))
        return stems

    def _background(
        self, rng: np.random.Generator, size: int, labels: set[str]
    ) -> tuple[str, Floats]:
        """Draw an ambience or wind on the microphone, or neither."""
        spec = self.spec
        make: dict[str, Callable[[], Floats]] = {}
        if self._ambiences and rng.random() < spec.ambience_share:
            name = str(rng.choice(self._ambiences))
            make = {name: lambda: self._stems.background(rng, name, size)}
        elif rng.random() < spec.microphone_wind_share:
            make = {WIND: lambda: _part(rng, self._winds, size)}
        for name, background in make.items():
            if name not in labels:
                return name, _at_level(background(), rng.uniform(*spec.ambience_db))
        return "", np.zeros(size, np.float32)

    def _audible(
        self, stems: list[_Stem], floor: Floats, ambience: str, rest: Floats, device: Device
    ) -> tuple[Floats, Truth]:
        """Mix what is audible through `device`; the rest is taken out, so that no trace is left."""
        gains = device.audible(self._centres) ** 2
        mixture = floor + rest + sum(stem.audio for stem in stems)
        power = band_power(rest, RATE)
        powers = [band_power(stem.audio, RATE) for stem in stems]
        passed = [passes(own, gains) for own in powers]
        # Rumble in a recording does not make it longer than it is to the ear.
        heard = gains * self._weights
        total = (band_power(floor, RATE) + power + sum(powers)) * heard
        background: Spans = ()
        if ambience:
            own = power * heard
            background = audible_times(own, total - own) if passes(power, gains) else ()
        if ambience and not background:
            mixture, total, ambience = mixture - rest, total - power * heard, ""
        kept: list[tuple[_Stem, Spans]] = []
        for stem, own, through in zip(stems, powers, passed, strict=True):
            own = own * heard
            times = audible_times(own, total - own) if through else ()
            if times:
                kept.append((stem, times))
            else:
                mixture, total = mixture - stem.audio, total - own
        whole_db = level_db(mixture)
        events = [
            Event(
                stem.label,
                self._counted(stem.label, times),
                # What a gain control levels out is not said to be loud or faint.
                0.0 if device.agc else round(level_db(stem.audio) - whole_db, 1),
                stem.distance,
                times,
            )
            for stem, times in kept
        ]
        events.sort(key=lambda event: event.start_s)
        return mixture, Truth(len(mixture) / RATE, tuple(events), ambience, background)

    def _counted(self, label: str, times: Spans) -> Spans:
        """Return the times that a listener would count; a series of strokes is one."""
        if label in self.spec.series:
            return ((times[0][0], times[-1][1]),)
        return counted(times)

    def _draw(self, rng: np.random.Generator, count: int) -> list[str]:
        """Draw labels without repetition; noises are scenes of their own."""
        chosen: list[str] = []
        while len(chosen) < count:
            label = str(rng.choice(self._labels, p=self._shares))
            if label not in chosen and (count == 1 or label not in NOISES):
                chosen.append(label)
        return chosen


def counted(times: Spans) -> Spans:
    """Return `times` as they are if a listener would count them so; else the stretch as one.

    Bursts that are long, or of unlike length, may each be several: three barks, and then a fourth.
    """
    lengths = [end - start for start, end in times]
    if max(lengths) <= COUNTED_S and max(lengths) <= ALIKE * min(lengths):
        return times
    return ((times[0][0], times[-1][1]),)


def _part(rng: np.random.Generator, noises: list[Floats], size: int) -> Floats:
    """Return a copy of `size` samples of one of `noises`."""
    noise = noises[int(rng.integers(len(noises)))]
    return noise[int(rng.integers(len(noise) - size)) :][:size].copy()


def _at_level(stem: Floats, db: float) -> Floats:
    """Return `stem` with its loud parts at `db` re an RMS of 1."""
    return stem * np.float32(10.0 ** ((db - level_db(stem)) / 20.0))
