"""Raw PCM from a pipe: the base of what a decoder gives."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from edge.audio.file import RING_S, check_channel, pick
from edge.audio.readable import wait_readable
from edge.audio.ring_buffer import NOTHING, Block, RingBuffer
from edge.errors import AudioError
from edge.inference.features import Floats

PACE = 1.02  # a pipe is read this much faster than its clock, so that drift cannot pile up


class PcmSource:
    """Raw PCM from a pipe, 16-bit integers unless a subclass says otherwise.

    A thread keeps the pipe empty, so that a recorder at its other end never stalls while the loop
    thinks. It is read at the pace of the clock unless `fast`: then a recording can be piped in.
    """

    name = "standard input"
    dtype = "<i2"  # little-endian
    pace = PACE

    def __init__(
        self,
        pipe: BinaryIO,
        rate: int,
        channels: int,
        fast: bool,
        channel: int | None = None,
        first: bytes = b"",
        name: str | None = None,
    ) -> None:
        """`first`: what was already read of the pipe; `name`: for messages."""
        self.name = name or self.name
        check_channel(self.name, channels, channel)
        self.rate, self.lossless = rate, fast
        self._pipe, self._channels, self._channel = pipe, channels, channel
        self._first = first
        self._capacity = int(RING_S * rate)
        self._ring = RingBuffer(self._capacity, channels if channel is None else 1)
        self._room = threading.Event()
        self._ended = threading.Event()
        self._closed = False
        self.rest = b""  # of a frame that was not whole when the thread ended
        self._error: Exception | None = None  # why it could not be read any more
        self._thread = threading.Thread(target=self._pump, daemon=True, name="PCM")

    def _pump(self) -> None:
        frame = int(self.dtype[-1]) * self._channels
        rest = b""
        chunk = max(frame, self.rate // 50 * frame)  # 20 ms
        try:
            while not self._closed:
                data = self._more(chunk)
                if data is None:
                    continue
                if not data:
                    break
                data = rest + data
                whole = len(data) // frame * frame
                rest = data[whole:]
                samples = self._samples(data[:whole]).reshape(-1, self._channels)
                while not self._closed and self._capacity - self._ring.waiting() < len(samples):
                    self._room.clear()
                    self._room.wait(0.1)
                self._ring.write(pick(samples, self._channel))
        except (OSError, ValueError) as error:
            if not self._closed:
                self._error = error
        self.rest = rest
        self._ended.set()

    def _more(self, count: int) -> bytes | None:
        """Return up to `count` more bytes of the pipe, none at its end; None if it must wait."""
        data, self._first = self._first[:count], self._first[count:]
        if data:
            return data
        if not wait_readable(self._pipe.fileno(), 0.1):
            return None
        return os.read(self._pipe.fileno(), count)

    def _samples(self, data: bytes) -> Floats:
        """Return the samples in `data`, all channels in turn."""
        return np.frombuffer(data, self.dtype).astype(np.float32) / 32768.0

    def blocks(self) -> Iterator[Block]:
        if self._closed:
            return
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
        if self._closed:
            return
        if self._error is not None:
            why = getattr(self._error, "strerror", None) or str(self._error)
            raise AudioError(f"{self.name}: cannot be read any more ({why})")
        self._check_end(done)

    def _check_silence(self, seconds: float) -> None:
        """Called while nothing comes; the writer of standard input may take its time."""

    def _check_end(self, done: int) -> None:
        """Called at the end of the pipe, after `done` frames."""
        if done == 0:
            raise AudioError(f"{self.name}: held no audio")
        if self.rest:
            raise AudioError(
                f"{self.name}: ended within a sample of {self._channels} channel(s); "
                "check --channels"
            )

    def close(self) -> None:
        """End the thread, so that another source may read on; the pipe is the caller's."""
        self._closed = True
        self._room.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(1.0)
