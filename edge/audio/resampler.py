"""Any rate and channel count to mono at the model's rate, with state across blocks."""

from __future__ import annotations

import soxr

from edge.audio.mixing import Mixer
from edge.inference.features import Floats


class Resampler:
    """Mixes channels and resamples block by block, as if the whole signal were given at once."""

    def __init__(self, from_rate: int, to_rate: int, name: str = "") -> None:
        """Rates in Hz; `name`: of the source, for messages."""
        self._mixer = Mixer(from_rate, name)
        self._stream = None
        if from_rate != to_rate:
            self._stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32")

    def push(self, samples: Floats, last: bool = False) -> Floats:
        """Return the mono audio that `samples` (frames, channels) completes.

        shape = (frames,); all that is left if `last`.
        """
        mono = self._mixer.push(samples, last)
        if self._stream is None:
            return mono
        out: Floats = self._stream.resample_chunk(mono, last=last)
        return out
