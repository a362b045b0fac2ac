"""A short recording, read whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.audio.file import FileSource
from edge.audio.resampler import Resampler
from edge.inference.features import Floats


def read_clip(path: Path, rate: int) -> Floats:
    """Return the mono audio of the recording at `path`, resampled to `rate` Hz.

    It is read as the stream reads it, so what is said of both is the same.

    Raises: AudioError if the file does not hold usable audio, or not all that it should.
    """
    source = FileSource(path, fast=True, follow=False)
    resampler = Resampler(source.rate, rate, source.name)
    try:
        pieces = [resampler.push(block.samples) for block in source.blocks()]
    finally:
        source.close()
    return np.concatenate([*pieces, resampler.push(np.zeros((0, 1), np.float32), last=True)])
