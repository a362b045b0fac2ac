"""Training scenes: one sound or two over room tone, with a caption that is true of them.

A scene is made from a seed and its number alone, so that a run can be repeated or resumed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distill.corpus import Clip
from distill.grammar import QUIET, Grammar
from edge.features import Floats

RATE = 32_000  # Hz; the teacher's rate, halved for the student

# Noises are synthesised as well: exponent of their power spectrum, 1 / f^exponent.
NOISES = {"White noise": 0.0, "Pink noise": 1.0, "Brown noise": 2.0}

SHARE_QUIET, SHARE_NOISE, SHARE_PAIR = 0.05, 0.04, 0.26  # the rest holds one sound
LEVEL_DB = (-42.0, -14.0)  # scene RMS re full scale: near and far, low and high gain
QUIET_DB = (-90.0, -66.0)
ROOM_SNR_DB = (18.0, 50.0)
ROOM_EXPONENTS = (0.5, 1.0, 1.5, 2.0)
SHARE_PART = 0.25  # of the sounds that could fill a scene: they start or stop within it
SHARE_AGAIN = 0.5  # of the short events: heard again in the same scene
AGAIN_S = (0.1, 1.5)  # pause before the event comes again
PAIR_BALANCE_DB = (-6.0, 6.0)  # first sound re second; beyond that one masks the other


@dataclass(frozen=True)
class Scene:
    """Audio at `RATE` and what is true of it."""

    audio: Floats
    labels: list[str]
    caption: str


def shaped_noise(rng: np.random.Generator, samples: int, exponent: float) -> Floats:
    """Noise of unit RMS whose power falls as 1 / f^`exponent` above 20 Hz."""
    freqs = np.maximum(np.fft.rfftfreq(samples, 1.0 / RATE), 20.0).astype(np.float32)
    white = rng.standard_normal(samples, dtype=np.float32)
    noise = np.fft.irfft(np.fft.rfft(white) * freqs ** (-exponent / 2.0), samples)
    return (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)


def trim(audio: NDArray[np.int16]) -> NDArray[np.int16]:
    """`audio` without the start and end that lie 40 dB or more below its loudest 20 ms."""
    size = RATE // 50
    blocks = audio[: len(audio) // size * size].astype(np.float32).reshape(-1, size)
    power = (blocks**2).mean(axis=1)
    loud = np.flatnonzero(power > power.max(initial=0.0) * 1e-4)
    return audio[loud[0] * size : (loud[-1] + 1) * size] if len(loud) else audio


def _rms(audio: Floats) -> float:
    """RMS of the louder half of 20 ms blocks, so that pauses do not count."""
    size = RATE // 50
    blocks = audio[: max(1, len(audio) // size) * size].reshape(-1, min(size, len(audio)))
    power = np.sort((blocks**2).mean(axis=1))
    return float(np.sqrt(power[len(power) // 2 :].mean())) + 1e-9


def _played_at(audio: Floats, speed: float) -> Floats:
    """`audio` played at `speed`, by linear interpolation."""
    positions = np.arange(0.0, len(audio) - 1, speed)
    left = positions.astype(np.int64)
    part = (positions - left).astype(np.float32)
    return audio[left] * (1.0 - part) + audio[left + 1] * part


def _coloured(rng: np.random.Generator, audio: Floats) -> Floats:
    """`audio` through a random room and microphone: decaying echo, tilt and a soft low-pass."""
    bins = len(audio) // 2 + 1
    freqs = np.linspace(0.0, RATE / 2, 257)  # the response is smooth: 257 points do
    octaves = np.log2(np.maximum(freqs, 50.0) / 1000.0)
    gain_db = rng.uniform(-3.0, 3.0) * octaves + rng.uniform(0, 4.0) * np.sin(
        octaves * rng.uniform(0.5, 1.5) + rng.uniform(0.0, 6.28)
    )
    corner = np.exp(rng.uniform(np.log(3500.0), np.log(24000.0)))
    response = 10.0 ** (gain_db / 20.0) / np.sqrt(1.0 + (freqs / corner) ** 6)
    fine = np.interp(np.linspace(0, 256, bins, dtype=np.float32), np.arange(257), response)
    spectrum = np.fft.rfft(audio) * fine.astype(np.float32)
    if rng.random() < 0.4:
        decay_s = rng.uniform(0.05, 0.5)  # RT60
        length = min(len(audio), int(decay_s * RATE))
        echo = np.zeros(len(audio), np.float32)
        envelope = 10.0 ** (-3.0 * np.arange(length) / (decay_s * RATE))
        noise = rng.standard_normal(length, dtype=np.float32)
        echo[:length] = noise * envelope * rng.uniform(0.005, 0.05)
        echo[0] += 1.0
        spectrum *= np.fft.rfft(echo)
    return np.fft.irfft(spectrum, len(audio)).astype(np.float32)


def _part(rng: np.random.Generator, audio: Floats) -> Floats:
    """A copy of `audio` that at times starts, or stops, within; not if only a pause were left."""
    if rng.random() >= SHARE_PART:
        return audio.copy()
    heard = len(audio) * rng.uniform(0.4, 0.9)
    fade = RATE * rng.uniform(0.01, 0.3)
    gain = np.clip((heard - np.arange(len(audio), dtype=np.float32)) / fade, 0.0, 1.0)
    part = audio * (gain if rng.random() < 0.5 else gain[::-1])
    return part if (part**2).sum() > 0.25 * (audio**2).sum() else audio.copy()


class SceneMaker:
    """Makes scenes from clips that are held in memory."""

    def __init__(
        self, clips: list[Clip], audio: list[NDArray[np.int16]], grammar: Grammar, seed: int
    ) -> None:
        self.grammar, self.seed = grammar, seed
        self._audio = [trim(samples) for samples in audio]
        self._by_label: dict[str, list[int]] = {}
        for i, clip in enumerate(clips):
            self._by_label.setdefault(clip.label, []).append(i)
        self._kinds = [clip.kind for clip in clips]
        self._labels = sorted(self._by_label)
        # Between one share per label and one per clip: rare labels are heard, not learnt by heart.
        counts = np.sqrt([len(self._by_label[label]) for label in self._labels])
        self._shares = counts / counts.sum()
        rng = np.random.default_rng([seed])
        self._rooms = [shaped_noise(rng, 30 * RATE, exponent) for exponent in ROOM_EXPONENTS]

    def scene(self, number: int, seconds: float) -> Scene:
        """Scene `number`, `seconds` long (rounded to 0.1 s: FFTs of other lengths are slow)."""
        rng = np.random.default_rng([self.seed, number])
        size = round(seconds * 10) * RATE // 10
        draw = rng.random()
        if draw < SHARE_QUIET:
            audio = shaped_noise(rng, size, rng.uniform(0.0, 2.0))
            audio *= 10.0 ** (rng.uniform(*QUIET_DB) / 20.0)
            return self._captioned(rng, audio, [QUIET], False)
        in_sequence = False
        if draw < SHARE_QUIET + SHARE_NOISE:
            labels = [str(rng.choice(list(NOISES)))]
            audio = shaped_noise(rng, size, NOISES[labels[0]] + rng.uniform(-0.25, 0.25))
        elif draw < SHARE_QUIET + SHARE_NOISE + SHARE_PAIR:
            audio, labels, in_sequence = self._pair(rng, size)
        else:
            label = self._draw(rng)
            audio, labels = self._sound(rng, label, size), [label]
        room = self._rooms[int(rng.integers(len(self._rooms)))]
        room = room[int(rng.integers(len(room) - size)) :][:size]
        audio /= _rms(audio)
        audio += room * 10.0 ** (-rng.uniform(*ROOM_SNR_DB) / 20.0)
        audio *= 10.0 ** (rng.uniform(*LEVEL_DB) / 20.0)
        return self._captioned(rng, np.clip(audio, -1.0, 1.0), labels, in_sequence)

    def _captioned(
        self, rng: np.random.Generator, audio: Floats, labels: list[str], in_sequence: bool
    ) -> Scene:
        words = random.Random(int(rng.integers(2**32)))
        caption = self.grammar.caption(labels, in_sequence, words)
        return Scene(audio.astype(np.float32), labels, caption)

    def _draw(self, rng: np.random.Generator, avoid: str = "") -> str:
        while True:
            label = str(rng.choice(self._labels, p=self._shares))
            if label != avoid and not (avoid and label in NOISES):
                return label

    def _pair(self, rng: np.random.Generator, size: int) -> tuple[Floats, list[str], bool]:
        """Two sounds, one after the other or both at once, and their labels in spoken order."""
        first = self._draw(rng, avoid="-")
        second = self._draw(rng, avoid=first)
        balance = np.float32(10.0 ** (rng.uniform(*PAIR_BALANCE_DB) / 20.0))
        in_sequence = bool(rng.random() < 0.35)
        if in_sequence:
            split = int(size * rng.uniform(0.4, 0.6))
            parts = [self._sound(rng, first, split), self._sound(rng, second, size - split)]
            parts = [part / _rms(part) for part in parts]
            return np.concatenate([parts[0] * balance, parts[1]]), [first, second], True
        one, two = self._sound(rng, first, size), self._sound(rng, second, size)
        audio = one / _rms(one) * balance + two / _rms(two)
        # Both orders are true; keeping to one gives the decoder less to guess.
        return audio, sorted([first, second]), False

    def _sound(self, rng: np.random.Generator, label: str, size: int) -> Floats:
        """`size` samples that hold a clip of `label`: a cut of it, or all of it at some time."""
        index = int(rng.choice(self._by_label[label]))
        audio = self._audio[index].astype(np.float32) / 32768.0
        if rng.random() < 0.4:
            audio = _played_at(audio, rng.uniform(0.9, 1.1))
        if len(audio) > size:
            whole = _rms(audio)
            for _ in range(6):  # not a cut in which the sound pauses
                start = int(rng.integers(len(audio) - size + 1))
                cut = audio[start : start + size]
                if _rms(cut) > 0.35 * whole:
                    break
            out = _part(rng, cut)
        elif self._kinds[index] == "ambience":
            out = _part(rng, np.resize(audio, size))
        else:
            out = np.zeros(size, np.float32)
            # As a sliding window has it: up to a third may lie outside.
            start = int(rng.integers(-len(audio) // 3, size - 2 * len(audio) // 3 + 1))
            again = rng.random() < SHARE_AGAIN
            while start < size:
                heard = audio[max(0, -start) : size - start]
                out[max(0, start) :][: len(heard)] += heard
                if not again:
                    break
                start += len(audio) + int(RATE * rng.uniform(*AGAIN_S))
        return _coloured(rng, out) if rng.random() < 0.7 else out
