"""Audio as devices give it, validated: values that are no numbers, and clipping, are told of."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from edge.audio.file import Source
from edge.audio.ring_buffer import Block
from edge.inference.features import Floats

log = logging.getLogger(__name__)

LARGEST = 1e6  # 120 dB above full scale: no converter gives this.
FULL_SCALE = 0.999  # of a converter's range; what is above has been cut off there
CLIPPED_SHARE = 0.002  # of the samples; a single loud bang clips fewer
OVER_S = 60.0  # without it, and a fault is over: the next is told again


@dataclass
class _Fault:
    """Something that is told once while it lasts."""

    message: str
    last_s: float = field(default=-OVER_S)  # by the monotonic clock

    def seen(self, name: str) -> None:
        now_s = time.monotonic()
        if now_s - self.last_s >= OVER_S:
            log.warning(self.message, name)
        self.last_s = now_s


def validated(source: Source) -> Iterator[Block]:
    """The blocks of `source`; what is no number in them is taken for silence."""
    broken = _Fault("%s: gives values that are no numbers; they are taken for silence")
    clipped = _Fault("%s: is clipped, and captions may be less true; turn its level down")
    for block in source.blocks():
        samples = block.samples
        if len(samples):
            # NaN is not below the limit either. Powers of larger values overflow to infinity.
            if not np.abs(samples).max() <= LARGEST:
                broken.seen(source.name)
                samples = np.where(np.abs(samples) <= LARGEST, samples, np.float32(0.0))
                block = Block(samples, block.lost)
            if _clipped_share(samples) > CLIPPED_SHARE:
                clipped.seen(source.name)
        yield block


def _clipped_share(samples: Floats) -> float:
    """Of the samples of the worst channel, those at the end of the range."""
    return float((np.abs(samples) >= FULL_SCALE).mean(axis=0).max())
