"""The ring buffer: order, overwriting, and a writer and a reader at the same time."""

from __future__ import annotations

import threading

import numpy as np

from edge.audio.ring_buffer import RingBuffer


def counted(start: int, stop: int) -> np.ndarray:
    """Frames whose value is their number."""
    return np.arange(start, stop, dtype=np.float32)[:, None]


def test_what_is_written_is_read_in_order_across_the_seam() -> None:
    ring = RingBuffer(10, 1)
    for start in range(0, 70, 7):
        ring.write(counted(start, start + 7))
        block = ring.read()
        assert block.lost == 0
        np.testing.assert_array_equal(block.samples, counted(start, start + 7))
    assert len(ring.read().samples) == 0


def test_reading_part_leaves_the_rest() -> None:
    ring = RingBuffer(10, 1)
    ring.write(counted(0, 9))
    assert ring.read(4).samples[:, 0].tolist() == [0, 1, 2, 3]
    assert ring.waiting() == 5
    assert ring.read().samples[:, 0].tolist() == [4, 5, 6, 7, 8]


def test_the_oldest_is_overwritten_and_counted() -> None:
    ring = RingBuffer(10, 1)
    ring.write(counted(0, 8))
    ring.write(counted(8, 15))
    block = ring.read()
    assert block.lost == 5
    np.testing.assert_array_equal(block.samples, counted(5, 15))


def test_a_write_larger_than_the_ring_keeps_the_newest() -> None:
    ring = RingBuffer(10, 1)
    ring.write(counted(0, 3))
    ring.write(counted(3, 30))
    block = ring.read()
    assert block.lost == 20
    np.testing.assert_array_equal(block.samples, counted(20, 30))


def test_channels_stay_apart() -> None:
    ring = RingBuffer(4, 2)
    frames = np.array([[1, -1], [2, -2], [3, -3]], np.float32)
    ring.write(frames)
    np.testing.assert_array_equal(ring.read().samples, frames)


def test_a_slow_reader_never_gets_torn_or_repeated_audio() -> None:
    """Every frame holds its own number, so any mix of old and new would show."""
    ring, total = RingBuffer(1000, 1), 300_000

    def write() -> None:
        at = 0
        while at < total:
            size = 1 + at * 7 % 173
            ring.write(counted(at, min(at + size, total)))
            at += size

    writer = threading.Thread(target=write)
    writer.start()
    expected = lost = 0
    while writer.is_alive() or ring.waiting():
        if not ring.wait(0.2):
            continue
        block = ring.read()
        expected += block.lost
        lost += block.lost
        np.testing.assert_array_equal(
            block.samples, counted(expected, expected + len(block.samples))
        )
        expected += len(block.samples)
    writer.join()
    assert expected == total
    assert lost < total
