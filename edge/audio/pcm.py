"""Read raw PCM from a pipe; the base class of other sources that read pipes."""

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

# Speed at which a pipe is read, relative to real time. It is above 1, so that clock drift cannot
# accumulate.
PACE = 1.02


class PcmSource:
    """Raw PCM from a pipe: 16-bit integers, unless a subclass sets another `dtype`.

    A thread keeps the pipe empty, so that a recorder at its other end never stalls while the
    consumer is busy. The audio is read in real time. If `fast` is True it is read as fast as
    possible, for example from a recording in a pipe.
    """

    name = "standard input"
    dtype = "<i2"  # NumPy type of a sample: 16-bit little-endian.
    pace = PACE  # Speed relative to real time.

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
        """Prepare to read `pipe`; `blocks` starts the thread that reads it.

        Parameters
        ----------
        pipe
            The pipe, which stays the caller's.
        rate
            Sample rate in Hz.
        channels
            Number of channels in the pipe.
        fast
            True to read as fast as possible, False to read in real time.
        channel
            The channel to return, counted from 1; None for all.
        first
            Bytes that were already read from the pipe.
        name
            Name of the source in messages.

        Raises
        ------
        AudioError
            The pipe has no such channel.
        """
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
        self.rest = b""  # Bytes of an incomplete frame when the thread ended.
        self._error: Exception | None = None  # The error that ended the thread.
        self._thread = threading.Thread(target=self._pump, daemon=True, name="PCM")

    def _pump(self) -> None:
        frame = int(self.dtype[-1]) * self._channels
        rest = b""
        chunk = max(frame, self.rate // 50 * frame)  # Bytes in 20 ms of audio.
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
        """Return up to `count` bytes of the pipe, b"" at its end, None if none have arrived."""
        data, self._first = self._first[:count], self._first[count:]
        if data:
            return data
        if not wait_readable(self._pipe.fileno(), 0.1):
            return None
        return os.read(self._pipe.fileno(), count)

    def _samples(self, data: bytes) -> Floats:
        """Convert `data` to samples from -1 to 1, with interleaved channels; shape = (samples,)."""
        return np.frombuffer(data, self.dtype).astype(np.float32) / 32768.0

    def blocks(self) -> Iterator[Block]:
        """Start the thread and yield the audio of the pipe until it ends or the source is closed.

        Raises
        ------
        AudioError
            The pipe cannot be read any more, held no audio, or ended within a frame.
        """
        if self._closed:
            return
        self._thread.start()
        block = max(1, self.rate // 4)
        started: float | None = None
        last_audio_s = time.monotonic()
        done = 0
        while True:
            ended = self._ended.is_set()
            if not self._ring.wait(0.1):
                if ended:
                    break
                self._check_silence(time.monotonic() - last_audio_s)
                yield NOTHING
                continue
            last_audio_s = time.monotonic()
            started = started or last_audio_s
            due = block
            if not self.lossless:
                due += int((last_audio_s - started) * self.rate * self.pace) - done
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
        """Check a pipe that has given no audio for `seconds`.

        This class allows any wait, as the writer of standard input may be slow. A subclass may
        raise an error.
        """

    def _check_end(self, done: int) -> None:
        """Check the pipe at its end, after `done` frames.

        Raises
        ------
        AudioError
            The pipe held no audio, or ended within a frame.
        """
        if done == 0:
            raise AudioError(f"{self.name}: held no audio")
        if self.rest:
            raise AudioError(
                f"{self.name}: ended within a sample of {self._channels} channel(s); "
                "check --channels"
            )

    def close(self) -> None:
        """End the thread, so that another source can continue to read the pipe.

        The pipe stays open, because it belongs to the caller.
        """
        self._closed = True
        self._room.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(1.0)
