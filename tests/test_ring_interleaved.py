"""Every frame is read, or told as lost, once and in order, however both sides take turns."""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edge.audio.ring_buffer import Block, RingBuffer

SIZES = st.integers(0, 70)  # of writes; the rings hold 1 to 30
MOST = st.none() | st.integers(0, 70)


class Numbered:
    """Writes frames that hold their number, and checks what comes back against the count."""

    def __init__(self, ring: RingBuffer) -> None:
        self.ring, self.written, self.told = ring, 0, 0

    def write(self, size: int) -> None:
        numbers = np.arange(self.written, self.written + size, dtype=np.float32)
        self.ring.write(np.stack([numbers, -numbers], axis=1))
        self.written += size

    def take(self, block: Block) -> None:
        """Check that `block` goes on where the last one ended."""
        assert block.lost >= 0
        first = self.told + block.lost
        numbers = np.arange(first, first + len(block.samples), dtype=np.float32)
        np.testing.assert_array_equal(block.samples, np.stack([numbers, -numbers], axis=1))
        self.told = first + len(block.samples)
        assert self.told <= self.written


class RingMachine(RuleBasedStateMachine):
    """Writes and reads, one after the other: then what is lost is known to the frame."""

    @initialize(capacity=st.integers(1, 30))
    def start(self, capacity: int) -> None:
        self.capacity = capacity
        self.frames = Numbered(RingBuffer(capacity, 2))

    @rule(size=SIZES)
    def write(self, size: int) -> None:
        self.frames.write(size)

    @rule(most=MOST)
    def read(self, most: int | None) -> None:
        unread = self.frames.written - self.frames.told
        held = min(unread, self.capacity)
        block = self.frames.ring.read(most)
        assert block.lost == unread - held
        assert len(block.samples) == (held if most is None else min(most, held))
        self.frames.take(block)

    @invariant()
    def what_waits_is_known(self) -> None:
        unread = self.frames.written - self.frames.told
        assert self.frames.ring.waiting() == min(unread, self.capacity)
        assert self.frames.ring.wait(0.0) == (unread > 0)


TestRing = RingMachine.TestCase
TestRing.settings = settings(deadline=None, max_examples=60, stateful_step_count=30)


class Interrupted(RingBuffer):
    """A ring whose writer comes in whenever the reader looks at what they share."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity, 2)
        self.frames = Numbered(self)
        self.sizes: list[int] = []  # of the writes to come

    def __getattribute__(self, name: str) -> Any:
        if name in ("_written", "_claimed", "_data") and (sizes := self.__dict__.get("sizes")):
            size, self.__dict__["sizes"] = sizes[0], []  # a writer is not interrupted itself
            self.frames.write(size)
            self.__dict__["sizes"] = sizes[1:]
        return super().__getattribute__(name)


@settings(deadline=None, max_examples=200)
@given(
    capacity=st.integers(1, 30),
    before=st.lists(SIZES, max_size=3),
    reads=st.lists(st.tuples(MOST, st.lists(SIZES, max_size=8)), max_size=6),
)
def test_a_writer_may_come_between_any_two_looks_of_the_reader(
    capacity: int, before: list[int], reads: list[tuple[int | None, list[int]]]
) -> None:
    ring = Interrupted(capacity)
    for size in before:
        ring.frames.write(size)
    for most, meanwhile in reads:
        ring.sizes = meanwhile
        block = ring.read(most)
        ring.sizes = []
        ring.frames.take(block)
    ring.frames.take(ring.read())
    assert ring.frames.told == ring.frames.written


def test_two_threads_account_for_every_frame() -> None:
    """Writes of up to three rings at once, and threads that change places as often as they can."""
    frames, total = Numbered(RingBuffer(500, 2)), 400_000
    rng = np.random.default_rng(0)
    sizes = rng.choice([0, 1, 7, 160, 499, 500, 501, 1500], size=total // 100).tolist()

    def write() -> None:
        for size in sizes:
            frames.write(size)

    writer = threading.Thread(target=write)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        writer.start()
        most = [None, 1, 300, 2000]
        turn = kept = 0
        while writer.is_alive() or frames.ring.waiting():
            turn += 1
            if frames.ring.wait(0.2):
                block = frames.ring.read(most[turn % len(most)])
                # `written` is counted after a write, and the reader may be ahead of that.
                first = frames.told + block.lost
                np.testing.assert_array_equal(
                    block.samples[:, 0], np.arange(first, first + len(block.samples))
                )
                frames.told = first + len(block.samples)
                kept += len(block.samples)
        writer.join()
    finally:
        sys.setswitchinterval(interval)
    assert frames.told == frames.written == sum(sizes)
    assert 0 < kept < frames.written
