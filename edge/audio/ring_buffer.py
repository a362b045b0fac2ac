"""A preallocated ring buffer between one thread that captures and one that reads."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from edge.inference.features import Floats


@dataclass(frozen=True)
class Block:
    """Consecutive audio, and how many frames were lost just before it."""

    samples: Floats  # shape = (frames, channels)
    lost: int = 0


NOTHING = Block(np.zeros((0, 1), np.float32))  # from a source that waits, so that the loop lives


class RingBuffer:
    """Holds the newest `capacity` frames. The writer never waits: what is not read is overwritten.

    Both sides only count up, so neither needs a lock: the reader works out from the counts what
    was overwritten before or while it copied, and reports it as lost.
    """

    def __init__(self, capacity: int, channels: int) -> None:
        self._data = np.zeros((capacity, channels), np.float32)
        self._capacity = capacity
        self._claimed = 0  # frames whose place the writer may be overwriting
        self._written = 0
        self._read = 0
        self._news = threading.Event()

    def write(self, samples: Floats) -> None:
        """Copy `samples` (frames, channels) in; called by the capturing thread alone."""
        self._claimed = self._written + len(samples)
        kept = samples[-self._capacity :]
        start = (self._claimed - len(kept)) % self._capacity
        head = min(len(kept), self._capacity - start)
        self._data[start : start + head] = kept[:head]
        self._data[: len(kept) - head] = kept[head:]
        self._written = self._claimed
        self._news.set()

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for something to read."""
        if self._written == self._read:
            self._news.clear()
            if self._written == self._read:  # else it came between the test and the clearing
                self._news.wait(timeout)
        return self._written > self._read

    def waiting(self) -> int:
        """Frames that can be read now."""
        return min(self._written - self._read, self._capacity)

    def read(self, most: int | None = None) -> Block:
        """Everything not yet read, oldest first, or the `most` oldest frames of it."""
        written = self._written  # one look: more than the ring holds could be counted with two
        start = max(self._read, written - self._capacity)
        count = written - start if most is None else min(most, written - start)
        index = start % self._capacity
        head = min(count, self._capacity - index)
        samples = np.concatenate([self._data[index : index + head], self._data[: count - head]])
        # What the writer overtook while we copied is no longer what it was.
        spoilt = min(count, max(0, self._claimed - self._capacity - start))
        lost = start - self._read + spoilt
        self._read = start + count
        return Block(samples[spoilt:], lost)
