"""Validate audio from devices: warn about clipping and about values that are not numbers."""

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

LARGEST = 1e6  # Largest valid absolute value: 120 dB above full scale, beyond any converter.
FULL_SCALE = 0.999  # Absolute value from which a sample counts as clipped; full scale is 1.
# Share of clipped samples in a block above which a warning is logged. A single loud bang clips
# fewer samples.
CLIPPED_SHARE = 0.002
OVER_S = 60.0  # A fault that is absent for these seconds is over; the next is logged again.


@dataclass
class _Fault:
    """A fault that is logged once while it lasts."""

    message: str
    last_s: float = field(default=-OVER_S)  # Monotonic time in seconds when it was last seen.

    def seen(self, name: str) -> None:
        """Record that source `name` has the fault now, and log it if it is new."""
        now_s = time.monotonic()
        if now_s - self.last_s >= OVER_S:
            log.warning(self.message, name)
        self.last_s = now_s


def validated(source: Source) -> Iterator[Block]:
    """Yield the blocks of `source`, with invalid values replaced by silence.

    Clipping and invalid values (NaN, infinity, above LARGEST) are logged.
    """
    broken = _Fault("%s: gives values that are no numbers; they are taken for silence")
    clipped = _Fault("%s: is clipped, and captions may be less true; turn its level down")
    for block in source.blocks():
        samples = block.samples
        if len(samples):
            # The comparison is negated, so that NaN counts as invalid too. Powers of values above
            # the limit would overflow to infinity.
            if not np.abs(samples).max() <= LARGEST:
                broken.seen(source.name)
                samples = np.where(np.abs(samples) <= LARGEST, samples, np.float32(0.0))
                block = Block(samples, block.lost)
            if _clipped_share(samples) > CLIPPED_SHARE:
                clipped.seen(source.name)
        yield block


def _clipped_share(samples: Floats) -> float:
    """Return the share of clipped samples in the channel that clips most."""
    return float((np.abs(samples) >= FULL_SCALE).mean(axis=0).max())
