"""Compute the features of any window of a stream that arrives in blocks of any size."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from edge.inference.features import FeatureSpec, Floats, LogMel, LogMelStream, level_db


class FeatureBuffer(Protocol):
    """Buffer of a stream whose windows are counted in hops from the first sample."""

    @property
    def heard(self) -> int:
        """Number of hops received so far: the largest valid end of a window."""

    def push(self, samples: Floats) -> None:
        """Append mono `samples` at the model's rate; shape = (samples,)."""

    def window(self, start: int, end: int) -> tuple[Floats, Floats]:
        """Return features (frames, mels) and levels in dB (frames,) from hop `start` to `end`."""

    def forget(self, before: int) -> None:
        """Drop the data before the hop `before`; no later window starts there."""


def feature_buffer(spec: FeatureSpec) -> FeatureBuffer:
    """Return a buffer whose windows share their frames if `spec` allows it."""
    return (
        _FramesPerWindow(spec) if spec.centred or spec.top_db is not None else _SharedFrames(spec)
    )


class _SharedFrames:
    """Buffer that computes each frame and its level once."""

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec, self._stream = spec, LogMelStream(spec)
        self._frames: Floats = np.zeros((0, spec.n_mels), np.float32)
        self._levels: Floats = np.zeros(0, np.float32)
        self._first = 0  # Index of the oldest buffered frame.

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


class _FramesPerWindow:
    """Buffer that computes the frames of each window anew.

    It serves features that depend on where a window starts and ends, or on its loudest frame.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec, self._hop, self._log_mel = spec, spec.hop, LogMel(spec)
        self._samples: Floats = np.zeros(0, np.float32)
        self._first = 0  # Index of the oldest buffered hop.

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
