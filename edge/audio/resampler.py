"""Convert audio of any rate and channel count to mono at another rate, block by block."""

from __future__ import annotations

import soxr

from edge.audio.mixing import Mixer
from edge.inference.features import Floats


class Resampler:
    """Mix channels to mono and resample, with state across blocks.

    The result is the same as for the whole signal at once.
    """

    def __init__(self, from_rate: int, to_rate: int, name: str = "") -> None:
        """Create a resampler.

        Parameters
        ----------
        from_rate
            Sample rate of the input in Hz.
        to_rate
            Sample rate of the output in Hz.
        name
            Name of the source for log messages.
        """
        self._mixer = Mixer(from_rate, name)
        self._stream = None
        if from_rate != to_rate:
            self._stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32")

    def push(self, samples: Floats, last: bool = False) -> Floats:
        """Return the mono audio that `samples` completes.

        Parameters
        ----------
        samples : shape = (frames, channels)
            The next audio of the stream.
        last
            True at the end of the stream, to return the buffered rest too.

        Returns
        -------
        shape = (frames,)
        """
        mono = self._mixer.push(samples, last)
        if self._stream is None:
            return mono
        out: Floats = self._stream.resample_chunk(mono, last=last)
        return out
