"""Where audio comes from: files here; `pcm.py`, `ffmpeg.py` and `microphone.py` have the others."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile

from edge.errors import AudioError, UnknownFormatError
from edge.features import Floats
from edge.ring import Block
from edge.stderr import quiet_stderr

AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif"}
RING_S = 20.0  # seconds of audio that a source holds while the loop is busy
STREAMED_WAV = 2**31 - 2**16  # bytes; sizes from here on stand for "not known"
MP3_HEADER = 65_536  # bytes of an MP3 within which its length would stand, tags before it included


class Source(Protocol):
    """Audio that arrives. `lossless` sources wait for the loop, so it skips nothing of them."""

    name: str
    rate: int  # Hz; another only from a block on before which frames were lost
    lossless: bool

    def blocks(self) -> Iterator[Block]:
        """Audio in order, until it ends; whatever has arrived since the last block.

        Where none arrives there is an empty block each second, or more often: the loop then looks
        whether it shall end or read its settings again, and tells the watchdog that it lives.

        Raises: AudioError or DeviceError if it cannot go on; UnavailableError, of the latter, if
        it may later.
        """

    def close(self) -> None:
        """Give the device or the file back."""


class FileSource:
    """An audio file, on the clock of its recording or, if `fast`, as quickly as it is wanted."""

    def __init__(
        self, path: Path, fast: bool, block_s: float = 0.25, channel: int | None = None
    ) -> None:
        if path.is_dir():
            raise AudioError(f"{path}: is a folder, not an audio file")
        if not path.exists():
            raise AudioError(f"{path}: no such file")
        try:
            with quiet_stderr():
                self._file = soundfile.SoundFile(path)
        except (soundfile.LibsndfileError, OSError, TypeError):
            if os.access(path, os.R_OK) and not path.stat().st_size:
                raise AudioError(f"{path}: is empty") from None
            raise UnknownFormatError(
                f"{path}: cannot be read as audio; WAV, FLAC, OGG and MP3 are known"
            ) from None
        if self._file.frames == 0:
            self._file.close()
            raise AudioError(f"{path}: holds no audio")
        check_channel(str(path), self._file.channels, channel)
        self._channel = channel
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
        return pick(samples, self._channel)

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


def check_finite(samples: Floats, name: str, done: int, rate: int) -> None:
    """Raises: AudioError if there is a NaN or an infinity in `samples`, saying when."""
    if not np.isfinite(samples).all():
        at = int(np.flatnonzero(~np.isfinite(samples).all(axis=1))[0])
        raise AudioError(
            f"{name}: holds values that are no numbers (NaN) at {(done + at) / rate:.2f} s; "
            "write it again from its origin"
        )


def check_channel(name: str, channels: int, channel: int | None) -> None:
    """Raises: AudioError if what is called `name` has no such channel, counted from 1."""
    if channel is not None and channel > channels:
        has = "1 channel" if channels == 1 else f"{channels} channels"
        raise AudioError(f"{name}: has {has}, so there is no channel {channel}")


def pick(samples: Floats, channel: int | None) -> Floats:
    """The one channel of `samples` (frames, channels), counted from 1, or all if None."""
    return samples if channel is None else samples[:, channel - 1 : channel]
