"""The interface of audio sources, and the source that reads regular files.

`pcm.py`, `ffmpeg.py` and `microphone.py` hold the other sources.
"""

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
LOWEST_RATE, HIGHEST_RATE = 1000, 768_000  # Hz that can be read.
MOST_CHANNELS = 64  # Channels that can be read.
RING_S = 20.0  # Seconds of audio that a source buffers while its consumer is busy.
GROWS_S = 10.0  # A file that a recorder writes has ended if it does not change for these seconds.
GROWS_STEP_S = 0.5  # Seconds between checks of whether a file has grown.

log = logging.getLogger(__name__)


class Source(Protocol):
    """A source of audio."""

    name: str
    rate: int  # Sample rate in Hz; it changes only with a block before which frames were lost.
    lossless: bool  # True if the source waits for its consumer, which then skips no audio.

    def blocks(self) -> Iterator[Block]:
        """Yield the audio in order until it ends; a block is the audio since the last one.

        Without new audio, yield an empty block at least once a second. The consumer then checks
        whether it must stop or reload its settings, and notifies the watchdog.

        Raises
        ------
        AudioError
            The source cannot continue.
        DeviceError
            The device cannot continue. If it may do so later, it is the subclass UnavailableError.
        """

    def close(self) -> None:
        """Close the device or the file. May be called repeatedly and from any thread."""


class FileSource:
    """A regular audio file, read in real time or, if `fast`, at the speed of its consumer.

    All audio in the file is read, even if its headers state a shorter length. An AudioError at the
    end reports missing or damaged parts. A file that a recorder is still writing is followed.
    """

    def __init__(
        self,
        path: Path,
        fast: bool,
        block_s: float = 0.25,
        channel: int | None = None,
        follow: bool = True,
    ) -> None:
        """Open the file.

        Parameters
        ----------
        path
            Path of the file.
        fast
            True to read as fast as possible, False to read in real time.
        block_s
            Length of a block in seconds.
        channel
            The channel to read, counted from 1; None for all.
        follow
            True to wait for more audio if a recorder may still be writing the file.

        Raises
        ------
        AudioError
            The file cannot be opened, holds no audio, or has no such channel. If ffmpeg may be
            able to read it, it is the subclass UnknownFormatError.
        """
        self.name, self.lossless, self._channel = printable(str(path)), fast, channel
        self._lock = threading.Lock()  # Held to use the file, as another thread may call `close`.
        self._closed = False
        self._file = open_regular(path)
        about = os.fstat(self._file.fileno())
        self._size, self._follow = about.st_size, follow
        self._changed_at = time.monotonic() - max(0.0, time.time() - about.st_mtime)
        self._grew = False
        self._reader: SegmentReader | None = None
        self._opened = 0  # Number of segments opened so far.
        self._done = 0  # Number of frames read so far, at `rate`.
        self._fault = ""  # Message about the first fault in the file; empty if there is none.
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

        Raises
        ------
        UnknownFormatError
            The segment cannot be decoded.
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
        check_form(self.name, self._reader.rate, self._reader.channels)
        return self._reader

    def blocks(self) -> Iterator[Block]:
        """Yield the audio of the file in order.

        Raises
        ------
        AudioError
            Part of the file is missing or damaged. It is raised after all audio was yielded.
        """
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
        """Return the next `frames` frames, fewer at the end of a segment, none at the file's end.

        Returns
        -------
        shape = (frames, channels)
        """
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
        """Return True if a recorder may still be writing the file."""
        reader = self._reader
        unfinished = reader is not None and reader.unfinished
        age_s = time.monotonic() - self._changed_at
        return self._follow and (self._grew or unfinished) and age_s < GROWS_S

    def _grows(self) -> bool:
        """Check whether the file has grown since its end was reached; if so, open the new audio.

        Return True if the file has grown or may still grow.
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
        """Note the faults of the current segment and open the next one.

        `frames` is the number of frames that were read after the last update of `_done`.
        """
        reader = self._reader
        assert reader is not None
        at = f"{(self._done + frames) / self.rate:.1f} s"
        if reader.has_damage:
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
        """Close the file. May be called repeatedly and from any thread."""
        with self._lock:
            self._closed = True
            if self._reader is not None:
                self._reader.close()
            self._reader = None
            self._file.close()


def open_regular(path: Path) -> BinaryIO:
    """Open the regular file at `path`.

    Raises
    ------
    AudioError
        There is no regular file at `path`, or it cannot be read.
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
    """Return a description of the kind of the file at `path`, which is not a regular file.

    Raises
    ------
    OSError
        The file cannot be examined.
    ValueError
        No file can have this name.
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


def check_form(name: str, rate: int, channels: int) -> None:
    """Refuse a `rate` in Hz and a number of `channels` that only a damaged header states.

    Buffers grow with both, so these would take all memory.

    Raises: AudioError, about what is called `name`.
    """
    if not (LOWEST_RATE <= rate <= HIGHEST_RATE and 1 <= channels <= MOST_CHANNELS):
        raise AudioError(
            f"{name}: states {rate} Hz and {channels} channels; only {LOWEST_RATE} to "
            f"{HIGHEST_RATE} Hz and up to {MOST_CHANNELS} channels can be read"
        )


def check_channel(name: str, channels: int, channel: int | None) -> None:
    """Check that the source `name` has the channel `channel`.

    Parameters
    ----------
    name
        Name of the source for the error message.
    channels
        Number of channels of the source.
    channel
        The wanted channel, counted from 1; None for all.

    Raises
    ------
    AudioError
        The source has fewer channels.
    """
    if channel is not None and channel > channels:
        has = "1 channel" if channels == 1 else f"{channels} channels"
        raise AudioError(f"{name}: has {has}, so there is no channel {channel}")


def pick(samples: Floats, channel: int | None) -> Floats:
    """Return one channel of `samples` (frames, channels) as (frames, 1).

    Channels are counted from 1. Return all channels if `channel` is None.
    """
    return samples if channel is None else samples[:, channel - 1 : channel]
