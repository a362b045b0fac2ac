"""A short recording, read whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.features import Floats
from edge.resample import Resampler
from edge.sources import FileSource


def read_clip(path: Path, rate: int) -> Floats:
    """Mono audio of `path` at `rate` Hz.

    Raises: AudioError if the file does not hold usable audio.
    """
    source = FileSource(path, fast=True)
    try:
        samples = np.concatenate([block.samples for block in source.blocks()])
    finally:
        source.close()
    return Resampler(source.rate, rate).push(samples, last=True)
