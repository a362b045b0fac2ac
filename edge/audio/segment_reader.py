"""Decode one segment of a file with libsndfile, past the places where it is damaged."""

from __future__ import annotations

from contextlib import nullcontext
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from edge.audio.chunks import CUT
from edge.audio.flac import flac_after
from edge.audio.segments import FileBytes, Segment, SegmentFile
from edge.inference.features import Floats
from edge.process.stderr import quiet_stderr


class Stream(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is read in order.

    A seekable one is positioned again after each read, which fails where a FLAC does not begin
    with its first frame.
    """

    def seekable(self) -> bool:
        return False


class SegmentReader:
    """The audio of one segment, at the rate that is asked for."""

    def __init__(self, file: BinaryIO, segment: Segment) -> None:
        """Open it; `file` stays the caller's.

        Raises: soundfile.LibsndfileError if it cannot be decoded.
        """
        self._file, self._segment = file, segment
        self._open(segment)
        self.frames: int = self._sound.frames  # at most; 0 if it holds none
        self.rate: int = self._sound.samplerate
        self.channels: int = self._sound.channels
        self.damaged = False  # whether audio was lost before what was read last
        # The MP3 decoder writes of each damaged frame to the terminal, and goes on.
        self._noisy = self._sound.subtype.startswith("MPEG")
        self._done = 0  # frames, at its own rate
        self._rest = segment  # what is decoded of it: the end, after damage
        self._resampler: soxr.ResampleStream | None = None
        self._gap = 0  # frames of silence to return, for some that are damaged

    def _open(self, segment: Segment) -> None:
        self._bytes = SegmentFile(self._file, segment)
        with quiet_stderr():
            self._sound = Stream(self._bytes)

    @property
    def cut(self) -> str:
        """A clause that says how the end is missing, once all was read; empty if it is there."""
        return self._segment.cut or (CUT if self._done < self._segment.frames else "")

    @property
    def spoilt(self) -> bool:
        """Whether damaged parts were left out, once all was read."""
        holes = self._sound.format == "OGG" and self._done < self._sound.frames
        return self._segment.damaged or holes

    @property
    def unfinished(self) -> bool:
        """Whether the header says that there is more to come, or does not know."""
        return bool(self.cut) or self._segment.open_end

    @property
    def error(self) -> OSError | None:
        """Why the file itself could not be read."""
        return self._bytes.error

    def skip(self, before: SegmentReader) -> None:
        """Go on where `before`, the same segment while it was shorter, has ended.

        Raises: soundfile.LibsndfileError.
        """
        self._done, self._resampler = before._done, before._resampler
        self._sound.seek(self._done)

    def read(self, frames: int, rate: int) -> tuple[Floats, bool]:
        """Return about `frames` frames at `rate` Hz, (frames, channels), and whether it ended."""
        if rate == self.rate:
            samples = self._decode(frames)
            return samples, len(samples) < frames
        wanted = max(1, frames * self.rate // rate)
        samples = self._decode(wanted)
        ended = len(samples) < wanted
        if self._resampler is None:
            self._resampler = soxr.ResampleStream(self.rate, rate, self.channels, dtype="float32")
        resampled = self._resampler.resample_chunk(samples, last=ended)
        return resampled.reshape(-1, self.channels), ended

    def _decode(self, frames: int) -> Floats:
        """Return the next `frames` frames, or fewer at the end, (frames, channels)."""
        samples = np.full((frames, self.channels), np.nan, np.float32)
        got, self.damaged = 0, False
        while got < frames:
            if self._gap:
                more = min(self._gap, frames - got)
                samples[got : got + more] = 0.0
                self._gap -= more
                got += more
                continue
            try:
                with quiet_stderr() if self._noisy else nullcontext():
                    more = len(self._sound.read(out=samples[got:]))
            except soundfile.LibsndfileError:
                # What was decoded before the fault is there, though its count is not returned.
                more = int(np.isfinite(samples[got:, 0]).sum())
            got += more
            if got < frames and not more and not self._go_on(self._done + got):
                break
        self._done += got
        return samples[:got]

    def _go_on(self, done: int) -> bool:
        """Open what follows the damage after `done` frames, with silence for what is damaged."""
        if self._sound.format != "FLAC" or done == self._segment.frames:
            return False
        found = flac_after(FileBytes(self._file), self._rest, done)
        if found is None:
            return False
        self._sound.close()
        self._rest, first = found
        try:
            self._open(self._rest)
        except soundfile.LibsndfileError:
            return False
        self._gap, self.damaged = first - done, True
        return True

    def close(self) -> None:
        """Give up the decoder."""
        self._sound.close()
