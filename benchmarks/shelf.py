"""What a microphone on a kitchen shelf gives in a year, made up as it is needed, from a seed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from distill.scenes.noise import NOISES, RATE, shaped_noise
from edge.inference.features import Floats

RATES = (8000, 16_000, 22_050, 44_100, 48_000, 96_000)  # Hz, of devices
CHANNELS = (1, 2)
DEVICE_S = 480.0  # that one is plugged in for at most
SCENE_S = (1.0, 60.0)  # of one kind of sound
NOISE_S = 10.0  # of each colour; that it repeats harms nothing
KINDS = ("recording", "clipped", "tones", "noise", "hiss", "silence")
SHARES = (0.5, 0.1, 0.05, 0.15, 0.1, 0.1)  # of the scenes
QUIETEST_DB, LOUDEST_DB = -75.0, -15.0  # re full scale, of noise
HISS = 1e-4  # full scale; what is as faint counts as quiet
PIECE = 8192  # frames that are made at once


@dataclass(frozen=True)
class Device:
    """A microphone from when it is plugged in to when it is gone."""

    number: int
    rate: int  # Hz
    channels: int
    frames: int


@dataclass(frozen=True)
class _Scene:
    """A kind of sound for a while."""

    kind: str
    frames: int
    clip: int
    start: int  # in the clip, and in the noise
    gain: float
    noise: int  # its colour
    noise_from: float  # gain as the scene begins, and
    noise_to: float  # as it ends
    hz: tuple[float, float]


class Shelf:
    """`clips` are mono recordings at `rate` Hz, pieces of which are heard among the rest."""

    def __init__(self, clips: list[Floats], rate: int, seed: int) -> None:
        self._clips, self._rate, self._seed = clips, rate, seed
        rng = np.random.default_rng([seed, 0])
        self._noises = [shaped_noise(rng, int(NOISE_S * RATE), e) for e in NOISES.values()]

    def devices(self, seconds: float) -> Iterator[Device]:
        """One device after the other, `seconds` of audio in all; in an hour, one of each sort."""
        longest_s = min(DEVICE_S, seconds / 4.0)
        rng = np.random.default_rng([self._seed, 1])
        left = seconds
        for number in itertools.count(1):
            if (number - 1) % (len(RATES) * len(CHANNELS)) == 0:
                deck = list(itertools.product(RATES, CHANNELS))
                rng.shuffle(deck)
            rate, channels = deck.pop()
            length_s = min(left, float(rng.uniform(longest_s / 8.0, longest_s)))
            frames = round(length_s * int(rate))
            if frames:
                yield Device(number, int(rate), int(channels), frames)
            left -= length_s
            if left <= 0.0:
                return

    def audio(self, device: Device) -> Iterator[Floats]:
        """All that `device` gives, in pieces; shape = (frames, channels).

        A piece is overwritten as the next one is asked for.
        """
        rng = np.random.default_rng([self._seed, 2, device.number])
        piece = np.zeros((PIECE, device.channels), np.float32)
        balance = rng.uniform(0.5, 1.0, device.channels).astype(np.float32)
        left = device.frames
        while left:
            scene = self._scene(rng, device, left)
            for at in range(0, scene.frames, PIECE):
                count = min(PIECE, scene.frames - at)
                mono = self._render(scene, device.rate, at, count)
                np.multiply(mono[:, None], balance, out=piece[:count])
                yield piece[:count]
            left -= scene.frames

    def _scene(self, rng: np.random.Generator, device: Device, left: int) -> _Scene:
        clip = int(rng.integers(len(self._clips)))
        levels = 10.0 ** (rng.uniform(QUIETEST_DB, LOUDEST_DB, 2) / 20.0)
        return _Scene(
            kind=str(rng.choice(KINDS, p=SHARES)),
            frames=min(left, round(rng.uniform(*SCENE_S) * device.rate)),
            clip=clip,
            start=int(rng.integers(len(self._clips[clip]))),
            gain=float(10.0 ** (rng.uniform(-40.0, 6.0) / 20.0)),
            noise=int(rng.integers(len(self._noises))),
            noise_from=float(levels[0]),
            noise_to=float(levels[1]),
            hz=(float(rng.uniform(40.0, 1000.0)), float(rng.uniform(1000.0, 0.45 * device.rate))),
        )

    def _render(self, scene: _Scene, rate: int, at: int, count: int) -> Floats:
        """Frames `at` to `at + count` of `scene`."""
        if scene.kind == "silence":
            return np.zeros(count, np.float32)
        where = np.arange(at, at + count)
        level = scene.noise_from + (scene.noise_to - scene.noise_from) * where / scene.frames
        noise = self._noises[scene.noise]
        if scene.kind == "hiss":
            level = np.full(count, HISS)
        out = noise[(scene.start + where) % len(noise)] * level
        if scene.kind == "tones":
            low, high = scene.hz
            phase = 2.0 * np.pi * where / rate
            out += scene.gain * 0.3 * (np.sin(phase * low) + np.sin(phase * high))
        elif scene.kind in ("recording", "clipped"):
            clip = self._clips[scene.clip]
            place = scene.start + where * (self._rate / rate)
            left = place.astype(np.int64)
            between = place - left
            one, other = clip[left % len(clip)], clip[(left + 1) % len(clip)]
            loud = 30.0 if scene.kind == "clipped" else scene.gain
            out += loud * (one + (other - one) * between)
        return np.clip(out, -1.0, 1.0).astype(np.float32)
