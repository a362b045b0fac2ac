"""Any rate and channel count to mono at the model's rate, with state across blocks."""

from __future__ import annotations

import numpy as np
import soxr

from edge.features import Floats


class Resampler:
    """Mixes channels and resamples block by block, as if the whole signal were given at once."""

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._stream = None
        if from_rate != to_rate:
            self._stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32")

    def push(self, samples: Floats, last: bool = False) -> Floats:
        """Mono audio that `samples` (frames, channels) completes; all that is left if `last`."""
        mono = samples.mean(axis=1, dtype=np.float32)
        if self._stream is None:
            return mono
        out: Floats = self._stream.resample_chunk(mono, last=last)
        return out
