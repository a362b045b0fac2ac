"""A preallocated ring buffer between one writing thread and one reading thread."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from edge.inference.features import Floats


@dataclass(frozen=True)
class Block:
    """Consecutive audio, and the number of frames lost just before it."""

    samples: Floats  # shape = (frames, channels)
    lost: int = 0  # Frames.


# Empty block of a source that waits for audio, so that its consumer stays responsive.
NOTHING = Block(np.zeros((0, 1), np.float32))


class RingBuffer:
    """A buffer of the newest frames. The writer never waits and overwrites unread frames.

    Both threads only increase counters, so neither needs a lock. The reader computes from the
    counters which frames were overwritten before or during its copy, and reports them as lost.
    """

    def __init__(self, capacity: int, channels: int) -> None:
        """Allocate a buffer of `capacity` frames of `channels` channels."""
        self._data = np.zeros((capacity, channels), np.float32)
        self._capacity = capacity
        # The counters are frames since the start. The writer sets `_claimed` before it copies and
        # `_written` after it.
        self._claimed = 0
        self._written = 0
        self._read = 0
        self._new_data = threading.Event()

    def write(self, samples: Floats) -> None:
        """Append `samples` (frames, channels). Only the writing thread calls this."""
        self._claimed = self._written + len(samples)
        kept = samples[-self._capacity :]
        start = (self._claimed - len(kept)) % self._capacity
        head = min(len(kept), self._capacity - start)
        self._data[start : start + head] = kept[:head]
        self._data[: len(kept) - head] = kept[head:]
        self._written = self._claimed
        self._new_data.set()

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for unread frames; return True if there are any."""
        if self._written == self._read:
            self._new_data.clear()
            # The second test catches frames that arrived between the first test and clear().
            if self._written == self._read:
                self._new_data.wait(timeout)
        return self._written > self._read

    def waiting(self) -> int:
        """Return the number of frames that can be read now."""
        return min(self._written - self._read, self._capacity)

    def read(self, most: int | None = None) -> Block:
        """Return the unread frames, oldest first, or only the `most` oldest of them.

        Only the reading thread calls this.
        """
        # The counter is read once: with two reads the count could exceed the capacity.
        written = self._written
        start = max(self._read, written - self._capacity)
        count = written - start if most is None else min(most, written - start)
        index = start % self._capacity
        head = min(count, self._capacity - index)
        samples = np.concatenate([self._data[index : index + head], self._data[: count - head]])
        # The writer may have overwritten the oldest frames during the copy.
        overwritten = min(count, max(0, self._claimed - self._capacity - start))
        lost = start - self._read + overwritten
        self._read = start + count
        return Block(samples[overwritten:], lost)
