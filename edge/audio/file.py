"""Where audio comes from: files here; `pcm.py`, `ffmpeg.py` and `microphone.py` have the others."""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import soundfile

from edge.audio.recording import segments_of
from edge.audio.ring_buffer import NOTHING, Block
from edge.audio.segment_reader import SegmentReader
from edge.device_setting import printable
from edge.errors import AudioError, UnknownFormatError
from edge.inference.features import Floats

AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif"}
RING_S = 20.0  # seconds of audio that a source holds while the loop is busy
GROWS_S = 10.0  # without a change, a file that a recorder wrote is taken for ended
GROWS_STEP_S = 0.5  # between looks at a file that may grow

log = logging.getLogger(__name__)


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
        """Give the device or the file back. May be called twice, and from any thread."""


class FileSource:
    """A regular audio file, on the clock of its recording or, if `fast`, as quickly as wanted.

    All audio is read that the file holds, whatever its headers say. What is missing or damaged is
    told by an AudioError at the end. A file that a recorder still writes is followed.
    """

    def __init__(
        self,
        path: Path,
        fast: bool,
        block_s: float = 0.25,
        channel: int | None = None,
        follow: bool = True,
    ) -> None:
        """Open the file at `path`.

        Raises: AudioError if it is no audio file; UnknownFormatError if ffmpeg may read it.
        """
        self.name, self.lossless, self._channel = printable(str(path)), fast, channel
        self._lock = threading.Lock()  # held to use the file: `close` may come meanwhile
        self._closed = False
        self._file = open_regular(path)
        about = os.fstat(self._file.fileno())
        self._size, self._follow = about.st_size, follow
        self._changed_at = time.monotonic() - max(0.0, time.time() - about.st_mtime)
        self._grew = False
        self._reader: SegmentReader | None = None
        self._opened = 0  # segments
        self._done = 0  # frames at `rate` that were read
        self._fault = ""  # the first thing that is wrong with the file, for the user
        try:
            if not self._size:
                raise AudioError(f"{self.name}: is empty")
            self._segments = segments_of(self._file)
            reader = self._open_next()
            while not reader.frames and self._opened < len(self._segments):
                reader = self._open_next()
            if not reader.frames:
                raise AudioError(f"{self.name}: holds no audio")
            check_channel(self.name, reader.channels, channel)
        except BaseException:
            self.close()
            raise
        self.rate = reader.rate
        self._block = max(1, int(block_s * self.rate))

    def _open_next(self) -> SegmentReader:
        """Open the next segment.

        Raises: UnknownFormatError.
        """
        if self._reader is not None:
            self._reader.close()
        segment = self._segments[self._opened]
        self._opened += 1
        try:
            self._reader = SegmentReader(self._file, segment)
        except (soundfile.LibsndfileError, OSError, TypeError, ValueError):
            raise UnknownFormatError(
                f"{self.name}: cannot be read as audio; WAV, FLAC, OGG and MP3 are known"
            ) from None
        return self._reader

    def blocks(self) -> Iterator[Block]:
        started = time.monotonic()
        while True:
            due = self._block
            if not self.lossless:
                due = int((time.monotonic() - started) * self.rate) - self._done
                if due < self._block:
                    time.sleep((self._block - due) / self.rate)
                    due = self._block
            with self._lock:
                if self._closed:
                    return
                samples = self._read(due)
                self._done += len(samples)
                ended = not len(samples) and not self._grows()
            if len(samples):
                yield Block(samples)
            elif ended:
                break
            else:
                yield NOTHING
                time.sleep(GROWS_STEP_S)
        if self._grew:
            log.warning(
                "%s: nothing is recorded any more; it ends after %s", self.name, self._now()
            )
        if self._fault:
            raise AudioError(f"{self.name}: {self._fault}")

    def _read(self, frames: int) -> Floats:
        """Return the next `frames` frames, or fewer where a segment ends; none at the end."""
        while self._reader is not None:
            samples, ended = self._reader.read(frames, self.rate)
            if self._reader.damaged:
                self._note(f"is damaged at {self._now()}")
            if not np.isfinite(samples).all():
                at = int(np.flatnonzero(~np.isfinite(samples).all(axis=1))[0])
                self._note(
                    f"holds values that are no numbers (NaN) at {(self._done + at) / self.rate:.2f}"
                    " s; write it again from its origin"
                )
                samples = np.where(np.isfinite(samples), samples, np.float32(0.0))
            continues = ended and self._opened == len(self._segments) and self._is_written()
            if ended and not continues:
                self._end_segment(len(samples))
            if len(samples) or continues:
                return pick(samples, self._channel)
        return np.zeros((0, 1), np.float32)

    def _is_written(self) -> bool:
        """Return True if a recorder may still write the file."""
        reader = self._reader
        unfinished = reader is not None and reader.unfinished
        age_s = time.monotonic() - self._changed_at
        return self._follow and (self._grew or unfinished) and age_s < GROWS_S

    def _grows(self) -> bool:
        """Look whether a file whose end was read has grown, and if so, go on after what was read.

        Return True if it has or still may.
        """
        reader = self._reader
        if reader is None:
            return False
        size = os.fstat(self._file.fileno()).st_size
        if size > self._size:
            self._size, self._grew, self._changed_at = size, True, time.monotonic()
            self._segments = segments_of(self._file)
            self._opened = min(self._opened, len(self._segments)) - 1
            try:
                self._open_next().skip(reader)
            except (AudioError, soundfile.LibsndfileError):
                self._note(f"is still being written, and cannot be followed from {self._now()} on")
                self._reader = None
                return False
            return True
        if self._is_written():
            return True
        self._end_segment(0)
        return self._reader is not None

    def _end_segment(self, frames: int) -> None:
        """Tell what the segment lacks, after `frames` more frames, and open the one after it."""
        reader = self._reader
        assert reader is not None
        at = f"{(self._done + frames) / self.rate:.1f} s"
        if reader.spoilt:
            self._note("has damaged parts, which are left out; what follows them comes too early")
        if cut := reader.cut:
            self._note(f"ends after {at}, {cut}; the file is incomplete")
        if reader.error is not None:
            self._note(f"cannot be read after {at} ({reader.error.strerror})")
        reader.close()
        self._reader = None
        while self._opened < len(self._segments):
            try:
                opened = self._open_next()
                check_channel(self.name, opened.channels, self._channel)
                return
            except AudioError:
                self._reader = None
                self._note(f"cannot be read as audio from {at} on")

    def _now(self) -> str:
        return f"{self._done / self.rate:.1f} s"

    def _note(self, fault: str) -> None:
        self._fault = self._fault or fault

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._reader is not None:
                self._reader.close()
            self._reader = None
            self._file.close()


def open_regular(path: Path) -> BinaryIO:
    """Open the regular file at `path`.

    Raises: AudioError if there is none, or it may not be read.
    """
    name = printable(str(path))
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise AudioError(f"{name}: is {kind_of(path)}, not an audio file")
        return open(path, "rb")
    except FileNotFoundError:
        raise AudioError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its name is not valid"
        raise AudioError(f"{name}: cannot be read ({why})") from None


def kind_of(path: Path) -> str:
    """Return what lies at `path` if that is no regular file, in words.

    Raises: OSError, or ValueError for a name that no file can have.
    """
    mode = os.stat(path).st_mode
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device node",
        stat.S_IFBLK: "a disk",
        stat.S_IFIFO: "a pipe",
    }
    return kinds.get(stat.S_IFMT(mode), "no regular file")


def check_channel(name: str, channels: int, channel: int | None) -> None:
    """Raises: AudioError if what is called `name` has no such channel, counted from 1."""
    if channel is not None and channel > channels:
        has = "1 channel" if channels == 1 else f"{channels} channels"
        raise AudioError(f"{name}: has {has}, so there is no channel {channel}")


def pick(samples: Floats, channel: int | None) -> Floats:
    """The one channel of `samples` (frames, channels), counted from 1, or all if None."""
    return samples if channel is None else samples[:, channel - 1 : channel]
