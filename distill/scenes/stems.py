"""Stems: the sound of one label over the length of a scene, made of its clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from distill.corpus.dataset import Clip
from distill.scenes.noise import RATE
from distill.scenes.scene_spec import SceneSpec
from edge.inference.features import Floats

SEAM = RATE // 20  # Samples of the crossfade where a clip is looped: 50 ms.
EDGE = RATE // 100  # Samples of the fade where a stem is cut off within a scene: 10 ms.
SAME_SHARE = 0.7  # Of repetitions with the same clip.
BLOCK = RATE // 50  # Samples of the blocks that tell where a clip is loud: 20 ms.
LOUD_SHARE = 0.25  # Of the power of its loudest block that a cut of a clip must keep: -6 dB.
CUTS = 10  # Random cuts to try before the one around the loudest block.


class StemMaker:
    """Makes stems from clips that are held in memory as 16-bit samples at `RATE`."""

    def __init__(
        self, clips: Sequence[Clip], audio: Sequence[NDArray[np.int16]], spec: SceneSpec
    ) -> None:
        self._clips, self._audio, self._spec = clips, audio, spec
        self.by_label: dict[str, list[int]] = {}
        for i, clip in enumerate(clips):
            self.by_label.setdefault(clip.label, []).append(i)
        self.backgrounds: dict[str, list[int]] = {}
        for i, clip in enumerate(clips):
            if clip.kind == "ambience" and len(audio[i]) >= spec.ambience_s * RATE:
                self.backgrounds.setdefault(clip.label, []).append(i)

    def event(self, rng: np.random.Generator, label: str, size: int) -> Floats:
        """Return `size` samples in which `label` is heard: once, again, in series or lasting."""
        index = int(rng.choice(self.by_label[label]))
        if self._clips[index].kind in ("ambience", "music"):
            return self._lasting(rng, index, size)
        if label in self._spec.series and len(self._audio[index]) <= self._spec.stroke_s * RATE:
            return self._series(rng, index, size)
        return self._repeated(rng, index, size)

    def background(self, rng: np.random.Generator, label: str, size: int) -> Floats:
        """Return `size` samples of an ambience, looped where its clip is shorter."""
        return self._filled(rng, int(rng.choice(self.backgrounds[label])), size)

    def _repeated(self, rng: np.random.Generator, index: int, size: int) -> Floats:
        """Return a clip once to four times; the edges of the scene may cut it."""
        out = np.zeros(size, np.float32)
        audio, cut = self._clip(rng, index, size), self._spec.cut_share
        low, high = -int(cut * len(audio)), size - int((1.0 - 2.0 * cut) * len(audio))
        at = int(rng.integers(low, max(low + 1, high)))
        if not _holds_loud(_powers(audio), max(0, -at), min(len(audio), size - at)):
            at = min(max(at, 0), max(0, size - len(audio)))  # Not cut after all.
        for _ in range(1 + int(rng.choice(4, p=self._spec.again))):
            if at >= size:
                break
            _add(out, audio, at)
            at += len(audio) + int(RATE * rng.uniform(*self._spec.pause_s))
            audio = self._clip(rng, self._another(rng, index), size)
        return out

    def _series(self, rng: np.random.Generator, index: int, size: int) -> Floats:
        """Return strokes at a steady pace: steps, keys, knocks, drips."""
        spec = self._spec
        interval = rng.uniform(*spec.series[self._clips[index].label]) * RATE
        most = max(2, min(spec.strokes[1], int(size / interval)))
        strokes = int(rng.integers(min(spec.strokes[0], most), most + 1))
        out = np.zeros(size, np.float32)
        at = rng.uniform(-interval, max(1.0, size - strokes * interval))
        for _ in range(strokes):
            gain = np.float32(10.0 ** (rng.uniform(*spec.stroke_db) / 20.0))
            _add(out, gain * self._clip(rng, self._another(rng, index), size), int(at))
            at += interval * (1.0 + rng.uniform(-spec.stroke_jitter, spec.stroke_jitter))
        return out

    def _lasting(self, rng: np.random.Generator, index: int, size: int) -> Floats:
        """Return an ambience or music that fills the scene, or begins or ends within it."""
        spec = self._spec
        out = self._filled(rng, index, size)
        begin = int(rng.uniform(0.0, 0.5) * size) if rng.random() < spec.begin_share else 0
        end = int(rng.uniform(0.5, 1.0) * size) if rng.random() < spec.end_share else size
        end = max(end, min(size, begin + RATE))
        out[:begin] = out[end:] = 0.0
        heard = out[begin:end]
        for fades, edge in ((begin > 0, heard), (end < size, heard[::-1])):
            if fades:
                length = min(len(edge) // 2, int(rng.uniform(*spec.fade_s) * RATE))
                edge[:length] *= np.linspace(0.0, 1.0, length, dtype=np.float32)
        return out

    def _filled(self, rng: np.random.Generator, index: int, size: int) -> Floats:
        """Return `size` samples of a clip; a shorter one is looped with crossfades."""
        audio = self._clip(rng, index, size)
        seam = min(SEAM, len(audio) // 4)
        if len(audio) >= size or seam == 0:
            return np.resize(audio, size)
        rise = np.sqrt(np.linspace(0.0, 1.0, seam, dtype=np.float32))
        loop = audio[: len(audio) - seam].copy()
        loop[:seam] = loop[:seam] * rise + audio[len(loop) :] * rise[::-1]
        return np.resize(np.roll(loop, -int(rng.integers(len(loop)))), size)

    def _another(self, rng: np.random.Generator, index: int) -> int:
        """Return another clip of the same label and source, so that it is the same dog."""
        if rng.random() < SAME_SHARE:
            return index
        clip = self._clips[index]
        alike = [i for i in self.by_label[clip.label] if self._clips[i].source == clip.source]
        return int(rng.choice(alike))

    def _clip(self, rng: np.random.Generator, index: int, size: int) -> Floats:
        """Return a clip, or a cut of `size` samples of it, at its own speed or another."""
        spec, audio = self._spec, self._audio[index]
        speed = rng.uniform(*spec.speed) if rng.random() < spec.speed_share else 1.0
        needed = int(np.ceil(size * speed)) + 1
        if len(audio) > needed:
            start = _loud_start(rng, audio, needed)
            audio = audio[start : start + needed]
        samples = audio.astype(np.float32) / np.float32(32768.0)
        return (samples if speed == 1.0 else _played_at(samples, speed))[:size]


def _powers(audio: NDArray[np.int16] | Floats) -> Floats:
    """Return the power of each block of `audio`."""
    blocks = audio[: max(1, len(audio) // BLOCK) * BLOCK].astype(np.float32)
    blocks = np.pad(blocks, (0, -len(blocks) % BLOCK)).reshape(-1, BLOCK)
    return np.asarray((blocks**2).mean(axis=1), np.float32)


def _holds_loud(powers: Floats, start: int, end: int) -> bool:
    """Return True if samples `start` to `end` hold a loud part of the clip.

    A cut without one would be the silence or the rumble of a recording under the name of a sound.
    """
    inside = powers[-(-start // BLOCK) : end // BLOCK]
    return bool(inside.max(initial=0.0) >= LOUD_SHARE * powers.max())


def _loud_start(rng: np.random.Generator, audio: NDArray[np.int16], length: int) -> int:
    """Return a random start of a cut of `length` samples that holds a loud part of `audio`."""
    powers = _powers(audio)
    for _ in range(CUTS):
        start = int(rng.integers(len(audio) - length + 1))
        if _holds_loud(powers, start, start + length):
            return start
    centre = int(powers.argmax()) * BLOCK + BLOCK // 2
    return int(np.clip(centre - length // 2, 0, len(audio) - length))


def cut_off(stem: Floats, start: int, end: int) -> None:
    """Fade the edges of `stem` in place where samples `start` or `end` lie within it."""
    fade = np.linspace(0.0, 1.0, min(EDGE, end - start), dtype=np.float32)
    if start > 0:
        stem[start : start + len(fade)] *= fade
    if end < len(stem):
        stem[end - len(fade) : end] *= fade[::-1]


def _add(out: Floats, audio: Floats, at: int) -> None:
    """Add `audio` to `out` from sample `at` on, which may be negative."""
    heard = audio[max(0, -at) : max(0, len(out) - at)]
    out[max(0, at) :][: len(heard)] += heard


def _played_at(audio: Floats, speed: float) -> Floats:
    """Return `audio` played at `speed`, by linear interpolation."""
    at = np.arange(0.0, max(1, len(audio) - 1), speed, dtype=np.float32)
    left = np.minimum(at.astype(np.int64), max(0, len(audio) - 2))
    part = at - left
    return audio[left] * (1.0 - part) + audio[np.minimum(left + 1, len(audio) - 1)] * part
