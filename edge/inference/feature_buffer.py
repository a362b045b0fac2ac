"""The features of any window of a stream, from audio that arrives in blocks of any size."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from edge.inference.features import FeatureSpec, Floats, LogMel, LogMelStream, level_db


class FeatureBuffer(Protocol):
    """Counts in hops from the first sample on."""

    @property
    def heard(self) -> int:
        """Hops that a window may span so far."""

    def push(self, samples: Floats) -> None:
        """Mono samples at the model's rate."""

    def window(self, start: int, end: int) -> tuple[Floats, Floats]:
        """Features (frames, mels) from hop `start` to `end`, and the level of each frame in dB."""

    def forget(self, before: int) -> None:
        """No window will start before the hop `before`."""


def feature_buffer(spec: FeatureSpec) -> FeatureBuffer:
    """Windows that share their frames, where `spec` allows it."""
    return _OwnFrames(spec) if spec.centred or spec.top_db is not None else _SharedFrames(spec)


class _SharedFrames:
    """Each frame, and its level, is computed once."""

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec, self._stream = spec, LogMelStream(spec)
        self._frames: Floats = np.zeros((0, spec.n_mels), np.float32)
        self._levels: Floats = np.zeros(0, np.float32)
        self._first = 0  # number of the first frame that is kept

    @property
    def heard(self) -> int:
        return self._first + len(self._frames)

    def push(self, samples: Floats) -> None:
        new = self._stream.push(samples)
        self._frames = np.concatenate([self._frames, new])
        self._levels = np.concatenate([self._levels, level_db(new, self._spec)])

    def window(self, start: int, end: int) -> tuple[Floats, Floats]:
        span = slice(start - self._first, end - self._first)
        return self._frames[span], self._levels[span]

    def forget(self, before: int) -> None:
        first = max(self._first, before)
        self._frames = self._frames[first - self._first :]
        self._levels = self._levels[first - self._first :]
        self._first = first


class _OwnFrames:
    """For features that depend on where a window starts and ends, or on its loudest frame."""

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec, self._hop, self._log_mel = spec, spec.hop, LogMel(spec)
        self._samples: Floats = np.zeros(0, np.float32)
        self._first = 0  # number of the first hop that is kept

    @property
    def heard(self) -> int:
        return self._first + len(self._samples) // self._hop

    def push(self, samples: Floats) -> None:
        self._samples = np.concatenate([self._samples, samples])

    def window(self, start: int, end: int) -> tuple[Floats, Floats]:
        begin = (start - self._first) * self._hop
        features = self._log_mel(self._samples[begin : begin + (end - start) * self._hop])
        return features, level_db(features, self._spec)

    def forget(self, before: int) -> None:
        first = max(self._first, before)
        self._samples = self._samples[(first - self._first) * self._hop :]
        self._first = first
