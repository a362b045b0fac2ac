"""Raw PCM from a pipe: standard input, and the base of what a decoder gives."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from edge.errors import AudioError
from edge.ring import NOTHING, Block, RingBuffer
from edge.sources import RING_S, check_channel, pick

PACE = 1.02  # a pipe is read this much faster than its clock, so that drift cannot pile up


class PcmSource:
    """Raw 16-bit PCM from a pipe.

    A thread keeps the pipe empty, so that a recorder at its other end never stalls while the loop
    thinks. It is read at the pace of the clock unless `fast`: then a recording can be piped in.
    """

    name = "standard input"
    dtype = "<i2"  # little-endian
    pace = PACE

    def __init__(
        self, pipe: BinaryIO, rate: int, channels: int, fast: bool, channel: int | None = None
    ) -> None:
        check_channel(self.name, channels, channel)
        self.rate, self.lossless = rate, fast
        self._pipe, self._channels, self._channel = pipe, channels, channel
        self._capacity = int(RING_S * rate)
        self._ring = RingBuffer(self._capacity, channels if channel is None else 1)
        self._room = threading.Event()
        self._ended = threading.Event()
        self._closed = False
        self._odd_bytes = 0
        self._thread = threading.Thread(target=self._pump, daemon=True, name="PCM")

    def _pump(self) -> None:
        frame = 2 * self._channels
        rest = b""
        chunk = max(frame, self.rate // 50 * frame)  # 20 ms
        try:
            while not self._closed:
                if not select.select([self._pipe], [], [], 0.1)[0]:
                    continue
                data = os.read(self._pipe.fileno(), chunk)
                if not data:
                    break
                data = rest + data
                whole = len(data) // frame * frame
                rest = data[whole:]
                samples = np.frombuffer(data[:whole], self.dtype).reshape(-1, self._channels)
                while not self._closed and self._capacity - self._ring.waiting() < len(samples):
                    self._room.clear()
                    self._room.wait(0.1)
                self._ring.write(pick(samples.astype(np.float32) / 32768.0, self._channel))
        except (OSError, ValueError):  # the pipe was closed at our end
            pass
        self._odd_bytes = len(rest)
        self._ended.set()

    def blocks(self) -> Iterator[Block]:
        self._thread.start()
        block = max(1, self.rate // 4)
        started: float | None = None
        heard = time.monotonic()
        done = 0
        while True:
            ended = self._ended.is_set()
            if not self._ring.wait(0.1):
                if ended:
                    break
                self._check_silence(time.monotonic() - heard)
                yield NOTHING
                continue
            heard = time.monotonic()
            started = started or heard
            due = block
            if not self.lossless:
                due += int((heard - started) * self.rate * self.pace) - done
                if due <= 0:
                    time.sleep(0.05)
                    continue
            got = self._ring.read(due)
            self._room.set()
            done += len(got.samples)
            yield got
        self._check_end(done)

    def _check_silence(self, seconds: float) -> None:
        """Called while nothing comes; the writer of standard input may take its time."""

    def _check_end(self, done: int) -> None:
        """Called at the end of the pipe, after `done` frames."""
        if done == 0:
            raise AudioError(f"{self.name}: held no audio")
        if self._odd_bytes:
            raise AudioError(
                f"{self.name}: ended within a sample of {self._channels} channel(s); "
                "check --channels"
            )

    def close(self) -> None:
        """End the thread, so that another source may read on; the pipe is the caller's."""
        self._closed = True
        if self._thread.is_alive():
            self._thread.join(1.0)


def standard_input(rate: int, channels: int, fast: bool, channel: int | None = None) -> PcmSource:
    """Standard input as a source.

    Raises: AudioError if it is closed, or a terminal.
    """
    if sys.stdin is None:
        raise AudioError("standard input: is closed; pipe audio into it, or use another --device")
    if sys.stdin.isatty():
        raise AudioError(
            "standard input: is a terminal; pipe raw 16-bit PCM into it, for example "
            "arecord -t raw -f S16_LE -r 16000 | aac-stream --device -"
        )
    return PcmSource(sys.stdin.buffer, rate, channels, fast, channel)
