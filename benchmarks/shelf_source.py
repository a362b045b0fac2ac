"""The shelf as a source: a thread in place of a device's callback, the ring, and the count of both.

All as with a microphone, but for the clock: the thread waits for room in the ring, so that nothing
is lost but what is meant to be.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from benchmarks.shelf import Device, Shelf
from edge.audio.file import RING_S
from edge.audio.ring_buffer import NOTHING, Block, RingBuffer
from edge.inference.features import Floats

GAP_S = (0.1, 60.0)  # between two devices
BACK_S = 0.001  # of a gap are told with the first block after it, at the new rate
OVERRUN = 0.3  # of the devices are read too late once, and lose audio in the ring
OVERRUN_S = (0.001, 1.0)
WAIT_S = 0.2


@dataclass
class Count:
    """What went into the rings and what came out of them, of the devices that are gone."""

    devices: int = 0
    blocks: int = 0  # that the thread wrote
    made_s: float = 0.0  # all audio, lost or not
    lost_s: float = 0.0  # on purpose: between devices, and where a ring ran over
    gaps: int = 0  # how often
    stray: int = 0  # frames that a ring lost or doubled though it should not
    altered: int = 0  # devices whose audio came out of the ring as another
    between_s: float = 0.0  # without a device

    @property
    def clock_s(self) -> float:
        """Time that has passed on the shelf, with audio or without."""
        return self.made_s + self.between_s


@dataclass
class _Side:
    """One side of a ring."""

    frames: int = 0
    checksum: int = 0

    def add(self, samples: Floats) -> None:
        self.frames += len(samples)
        self.checksum = zlib.crc32(np.ascontiguousarray(samples).data, self.checksum)


@dataclass
class _Feed:
    """A device that is being listened to: what the thread and the reader share."""

    device: Device
    ring: RingBuffer
    block: Floats  # the largest that it gives; shape = (frames, channels)
    overrun: int  # frames that its ring is to lose, at once
    wrote: _Side = field(default_factory=_Side)
    overran: int = 0
    room: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None


class ShelfSource:
    """One device of `shelf` after the other, with gaps between them, `seconds` of audio in all."""

    name = "shelf"
    lossless = True  # it waits, so that each window counts

    def __init__(
        self,
        shelf: Shelf,
        seconds: float,
        seed: int,
        ring: Callable[[int, int], RingBuffer] = RingBuffer,
    ) -> None:
        self.count, self.stopped = Count(), False
        self.between: Callable[[], None] = lambda: None  # called while there is no device, no ring
        self._shelf, self._seconds, self._ring = shelf, seconds, ring
        self._rng = np.random.default_rng([seed, 3])
        self._seed = seed
        self.rate = next(shelf.devices(seconds)).rate

    def stop(self) -> None:
        """End soon, in order: what is in the ring is still heard."""
        self.stopped = True

    def blocks(self) -> Iterator[Block]:
        lost = 0
        for device in self._shelf.devices(self._seconds):
            if self.count.devices:
                lost = self._lose(BACK_S, device.rate)
            yield from self._listen(device, lost)
            yield from self._gap()
            self.between()
            if self.stopped:
                break

    def close(self) -> None:
        """Nothing is open between blocks."""

    def _gap(self) -> Iterator[Block]:
        """After a device: told at its rate while none is there, and then at that of the next."""
        yield NOTHING
        seconds = float(np.exp(self._rng.uniform(*np.log(GAP_S))))
        self.count.gaps += 1
        yield Block(NOTHING.samples, self._lose(seconds, self.rate))

    def _lose(self, seconds: float, rate: int) -> int:
        frames = max(1, round(seconds * rate))
        self.count.lost_s += frames / rate
        self.count.between_s += frames / rate
        return frames

    def _listen(self, device: Device, lost: int) -> Iterator[Block]:
        """All that `device` gives; `lost` frames were lost before it."""
        feed = self._plug_in(device)
        ring, read, overran = feed.ring, _Side(), 0
        most = None if self._rng.random() < 0.5 else device.rate // 4  # as microphones, as pipes
        thread = threading.Thread(target=self._write, args=(feed,), daemon=True, name="shelf")
        thread.start()
        while True:
            ended = feed.ended.is_set()
            if not ring.wait(WAIT_S):
                if ended:
                    break
                yield NOTHING
                continue
            block = ring.read(most)
            feed.room.set()
            read.add(block.samples)
            overran += block.lost
            self.rate = device.rate  # from the first block on, which tells of a loss
            yield Block(block.samples, block.lost + lost)
            lost = 0
        self.rate = device.rate
        if lost:  # stopped before it gave anything
            yield Block(NOTHING.samples, lost)
        thread.join()
        if feed.error is not None:
            raise feed.error
        self._settle(feed, read, overran)

    def _plug_in(self, device: Device) -> _Feed:
        ring = self._ring(int(RING_S * device.rate), device.channels)
        overrun = 0
        if self._rng.random() < OVERRUN and device.frames > (RING_S + 2.0) * device.rate:
            overrun = round(self._rng.uniform(*OVERRUN_S) * device.rate)
        # Here, not in the thread: what a thread frees, glibc keeps by the MB, as if it were in use.
        block = np.zeros((int(RING_S * device.rate) + overrun, device.channels), np.float32)
        return _Feed(device, ring, block, overrun)

    def _settle(self, feed: _Feed, read: _Side, overran: int) -> None:
        """Add what became of one device to the count."""
        count, rate = self.count, feed.device.rate
        count.devices += 1
        count.made_s += (feed.wrote.frames + feed.overran) / rate
        count.lost_s += feed.overran / rate
        count.gaps += feed.overran > 0
        count.stray += abs(feed.wrote.frames - read.frames) + abs(feed.overran - overran)
        count.altered += feed.wrote.checksum != read.checksum

    def _write(self, feed: _Feed) -> None:
        """The device: its audio, in blocks of any size, into its ring."""
        try:
            self._fill(feed)
        except BaseException as error:  # the reader tells of it, and does not wait for ever
            feed.error = error
        finally:
            feed.ended.set()

    def _fill(self, feed: _Feed) -> None:
        device = feed.device
        capacity = int(RING_S * device.rate)
        rng = np.random.default_rng([self._seed, 4, device.number])
        block = feed.block
        at, size, left = 0, _size(rng, capacity), device.frames
        for piece in self._shelf.audio(device):
            while len(piece):
                part = piece[: size - at]
                block[at : at + len(part)] = part
                at, piece, left = at + len(part), piece[len(part) :], left - len(part)
                if at < size and left:
                    continue
                self._give(feed, block[:at], capacity)
                if self.stopped:
                    return
                at, size = 0, _size(rng, capacity)
                if feed.overrun and not feed.overran and left > len(block):
                    # One write of more than the ring holds, once it is empty: so it is known
                    # what is lost.
                    size = len(block)

    def _give(self, feed: _Feed, block: Floats, capacity: int) -> None:
        """Write `block` once there is room for it; or, if it is to run over, once all is read."""
        extra = max(0, len(block) - capacity)
        full = 0 if extra else capacity - len(block)
        while feed.ring.waiting() > full:
            if self.stopped:
                return
            feed.room.clear()
            if feed.ring.waiting() > full:  # else it was read between the test and the clearing
                feed.room.wait(WAIT_S)
        feed.ring.write(block)
        feed.wrote.add(block[extra:])
        feed.overran += extra
        self.count.blocks += 1


def _size(rng: np.random.Generator, most: int) -> int:
    """Frames of a block: of each order of magnitude from one frame on as often."""
    return min(most, int(np.exp(rng.uniform(0.0, np.log(most + 1)))))
