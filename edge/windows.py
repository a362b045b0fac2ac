"""The features of any window of a stream, from audio that arrives in blocks of any size."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from edge.features import FeatureSpec, Floats, LogMel, LogMelStream


class Windows(Protocol):
    """Counts in hops from the first sample on."""

    @property
    def heard(self) -> int:
        """Hops that a window may span so far."""

    def push(self, samples: Floats) -> None:
        """Mono samples at the model's rate."""

    def features(self, start: int, end: int) -> Floats:
        """Features (frames, mels) of the window from hop `start` to `end`."""

    def forget(self, before: int) -> None:
        """No window will start before the hop `before`."""


def windows_of(spec: FeatureSpec) -> Windows:
    """Windows that share their frames, where `spec` allows it."""
    return _OwnFrames(spec) if spec.centred or spec.top_db is not None else _SharedFrames(spec)


class _SharedFrames:
    """Each frame is computed once."""

    def __init__(self, spec: FeatureSpec) -> None:
        self._stream = LogMelStream(spec)
        self._frames: Floats = np.zeros((0, spec.n_mels), np.float32)
        self._first = 0  # number of the first frame that is kept

    @property
    def heard(self) -> int:
        return self._first + len(self._frames)

    def push(self, samples: Floats) -> None:
        self._frames = np.concatenate([self._frames, self._stream.push(samples)])

    def features(self, start: int, end: int) -> Floats:
        return self._frames[start - self._first : end - self._first]

    def forget(self, before: int) -> None:
        first = max(self._first, before)
        self._frames = self._frames[first - self._first :]
        self._first = first


class _OwnFrames:
    """For features that depend on where a window starts and ends, or on its loudest frame."""

    def __init__(self, spec: FeatureSpec) -> None:
        self._hop, self._log_mel = spec.hop, LogMel(spec)
        self._samples: Floats = np.zeros(0, np.float32)
        self._first = 0  # number of the first hop that is kept

    @property
    def heard(self) -> int:
        return self._first + len(self._samples) // self._hop

    def push(self, samples: Floats) -> None:
        self._samples = np.concatenate([self._samples, samples])

    def features(self, start: int, end: int) -> Floats:
        begin = (start - self._first) * self._hop
        return self._log_mel(self._samples[begin : begin + (end - start) * self._hop])

    def forget(self, before: int) -> None:
        first = max(self._first, before)
        self._samples = self._samples[(first - self._first) * self._hop :]
        self._first = first
