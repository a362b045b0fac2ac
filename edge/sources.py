"""Where audio comes from: files and standard input here, microphones in `microphone.py`."""

from __future__ import annotations

import os
import re
import select
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import soundfile

from edge.errors import AudioError
from edge.features import Floats
from edge.ring import NOTHING, Block, RingBuffer
from edge.stderr import quiet_stderr

AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif"}
RING_S = 20.0  # seconds of audio that a source holds while the loop is busy
STREAMED_WAV = 2**31 - 2**16  # bytes; sizes from here on stand for "not known"
MP3_HEADER = 65_536  # bytes of an MP3 within which its length would stand, tags before it included
PACE = 1.02  # a pipe is read this much faster than its clock, so that drift cannot pile up


class Source(Protocol):
    """Audio that arrives. `lossless` sources wait for the loop, so it skips nothing of them."""

    name: str
    rate: int  # Hz
    lossless: bool

    def blocks(self) -> Iterator[Block]:
        """Audio in order, until it ends; whatever has arrived since the last block.

        Where none arrives there is an empty block each second, or more often: the loop then looks
        whether it shall end or read its settings again, and tells the watchdog that it lives.

        Raises: AudioError or DeviceError if it cannot go on.
        """

    def close(self) -> None:
        """Give the device or the file back."""


class FileSource:
    """An audio file, on the clock of its recording or, if `fast`, as quickly as it is wanted."""

    def __init__(self, path: Path, fast: bool, block_s: float = 0.25) -> None:
        if path.is_dir():
            raise AudioError(f"{path}: is a folder, not an audio file")
        if not path.exists():
            raise AudioError(f"{path}: no such file")
        try:
            with quiet_stderr():
                self._file = soundfile.SoundFile(path)
        except (soundfile.LibsndfileError, OSError, TypeError):
            reason = (
                "is empty"
                if os.access(path, os.R_OK) and not path.stat().st_size
                else ("cannot be read as audio; WAV, FLAC, OGG and MP3 are known")
            )
            raise AudioError(f"{path}: {reason}") from None
        if self._file.frames == 0:
            self._file.close()
            raise AudioError(f"{path}: holds no audio")
        self.name, self.rate, self.lossless = str(path), self._file.samplerate, fast
        self._block = max(1, int(block_s * self.rate))
        # Without this header the length of an MP3 is an estimate, at times by half too long.
        self._mp3 = self._file.subtype.startswith("MPEG")
        with open(path, "rb") as file:
            has_length = re.search(b"Xing|Info", file.read(MP3_HEADER)) is not None
        self._length_known = has_length or not self._mp3

    def blocks(self) -> Iterator[Block]:
        started, done = time.monotonic(), 0
        while True:
            if not self.lossless:
                due = int((time.monotonic() - started) * self.rate) - done
                if due < self._block:
                    time.sleep((self._block - due) / self.rate)
                    due = self._block
            else:
                due = self._block
            samples = self._read(due, done)
            done += len(samples)
            if len(samples):
                yield Block(samples)
            if len(samples) < due:
                break
        self._check_end(done)

    def _read(self, frames: int, done: int) -> Floats:
        try:
            # The MP3 decoder tells the terminal of each damaged frame, and goes on.
            with quiet_stderr() if self._mp3 else nullcontext():
                samples: Floats = self._file.read(frames, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError:
            raise AudioError(f"{self.name}: is damaged after {done / self.rate:.1f} s") from None
        check_finite(samples, self.name, done, self.rate)
        return samples

    def _check_end(self, done: int) -> None:
        """A header that promises more than the file holds tells of a broken copy."""
        # libsndfile says so of WAV files, whose length it then takes from the file.
        said = re.search(r"^data : (\d+) \(should be (\d+)\)", self._file.extra_info, re.MULTILINE)
        # A recorder that writes into a pipe promises 0, or all that the format can hold.
        cut = said is not None and int(said[2]) < int(said[1]) < STREAMED_WAV
        if cut or (done < self._file.frames and self._length_known):
            raise AudioError(
                f"{self.name}: ends after {done / self.rate:.1f} s, before its header says; "
                "the file is incomplete"
            )

    def close(self) -> None:
        self._file.close()


class PcmSource:
    """Raw 16-bit little-endian PCM from a pipe.

    A thread keeps the pipe empty, so that a recorder at its other end never stalls while the loop
    thinks. It is read at the pace of the clock unless `fast`: then a recording can be piped in.
    """

    def __init__(self, pipe: BinaryIO, rate: int, channels: int, fast: bool) -> None:
        self.name, self.rate, self.lossless = "standard input", rate, fast
        self._pipe, self._channels = pipe, channels
        self._capacity = int(RING_S * rate)
        self._ring = RingBuffer(self._capacity, channels)
        self._room = threading.Event()
        self._ended = threading.Event()
        self._odd_bytes = 0
        self._closed = False
        self._thread = threading.Thread(target=self._pump, daemon=True, name="stdin")

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
                samples = np.frombuffer(data[:whole], "<i2").reshape(-1, self._channels)
                while not self._closed and self._capacity - self._ring.waiting() < len(samples):
                    self._room.clear()
                    self._room.wait(0.1)
                self._ring.write(samples.astype(np.float32) / 32768.0)
        except (OSError, ValueError):  # the pipe was closed at our end
            pass
        self._odd_bytes = len(rest)
        self._ended.set()

    def blocks(self) -> Iterator[Block]:
        self._thread.start()
        block = max(1, self.rate // 4)
        started: float | None = None
        done = 0
        while True:
            ended = self._ended.is_set()
            if not self._ring.wait(0.1):
                if ended:
                    break
                yield NOTHING
                continue
            started = started or time.monotonic()
            due = block
            if not self.lossless:
                due += int((time.monotonic() - started) * self.rate * PACE) - done
                if due <= 0:
                    time.sleep(0.05)
                    continue
            got = self._ring.read(due)
            self._room.set()
            done += len(got.samples)
            yield got
        if done == 0:
            raise AudioError("standard input: held no audio")
        if self._odd_bytes:
            raise AudioError(
                f"standard input: ended within a sample of {self._channels} channel(s); "
                "check --channels"
            )

    def close(self) -> None:
        """End the thread, so that another source may read on; the pipe is the caller's."""
        self._closed = True
        if self._thread.is_alive():
            self._thread.join(1.0)


def check_finite(samples: Floats, name: str, done: int, rate: int) -> None:
    """Raises: AudioError if there is a NaN or an infinity in `samples`, saying when."""
    if not np.isfinite(samples).all():
        at = int(np.flatnonzero(~np.isfinite(samples).all(axis=1))[0])
        raise AudioError(
            f"{name}: holds values that are no numbers (NaN) at {(done + at) / rate:.2f} s; "
            "write it again from its origin"
        )


def standard_input(rate: int, channels: int, fast: bool) -> PcmSource:
    """Standard input as a source.

    Raises: AudioError if it is a terminal.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise AudioError(
            "standard input: is a terminal; pipe raw 16-bit PCM into it, for example "
            "arecord -t raw -f S16_LE -r 16000 | aac-stream --device -"
        )
    return PcmSource(sys.stdin.buffer, rate, channels, fast)
