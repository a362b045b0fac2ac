"""Read a short recording as a whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.audio.file import FileSource
from edge.audio.resampler import Resampler
from edge.inference.features import Floats


def read_clip(path: Path, rate: int) -> Floats:
    """Return the mono audio of the recording at `path`, resampled to `rate` Hz.

    The file is read with the same code as in a stream, so that both give the same captions.

    Returns
    -------
    shape = (samples,)

    Raises
    ------
    AudioError
        The file holds no usable audio, or is incomplete.
    """
    source = FileSource(path, fast=True, follow=False)
    resampler = Resampler(source.rate, rate, source.name)
    try:
        pieces = [resampler.push(block.samples) for block in source.blocks()]
    finally:
        source.close()
    return np.concatenate([*pieces, resampler.push(np.zeros((0, 1), np.float32), last=True)])
