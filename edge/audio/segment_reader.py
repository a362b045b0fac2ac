"""Decode one segment of a file with libsndfile, and continue after damaged parts."""

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
    """A sound file that is read in order and claims not to be seekable.

    soundfile seeks in a seekable file after each read. This fails in a FLAC stream that does not
    begin with its first frame.
    """

    def seekable(self) -> bool:
        """Return False, so that soundfile does not seek."""
        return False


class SegmentReader:
    """A decoder of one segment that can resample it."""

    def __init__(self, file: BinaryIO, segment: Segment) -> None:
        """Open `segment` of `file`. The caller keeps and closes `file`.

        Raises
        ------
        soundfile.LibsndfileError
            The segment cannot be decoded.
        """
        self._file, self._segment = file, segment
        self._open(segment)
        self.frames: int = self._sound.frames  # Upper limit; 0 if the segment has no audio.
        self.rate: int = self._sound.samplerate  # Hz
        self.channels: int = self._sound.channels
        self.damaged = False  # True if audio was lost during the last read.
        # The MP3 decoder prints a message to the terminal for each damaged frame and continues.
        self._noisy = self._sound.subtype.startswith("MPEG")
        self._done = 0  # Frames decoded so far, at the segment's own rate.
        self._rest = segment  # The part being decoded: all, or the rest after damage.
        self._resampler: soxr.ResampleStream | None = None
        self._gap = 0  # Frames of silence still to return in place of damaged frames.

    def _open(self, segment: Segment) -> None:
        self._bytes = SegmentFile(self._file, segment)
        with quiet_stderr():
            self._sound = Stream(self._bytes)

    @property
    def cut(self) -> str:
        """Clause for a message if the end is missing, else empty; valid once all was read."""
        return self._segment.cut or (CUT if self._done < self._segment.frames else "")

    @property
    def has_damage(self) -> bool:
        """True if damaged parts were left out; valid once all was read."""
        holes = self._sound.format == "OGG" and self._done < self._sound.frames
        return self._segment.damaged or holes

    @property
    def unfinished(self) -> bool:
        """True if the header states more audio than was read, or no length."""
        return bool(self.cut) or self._segment.open_end

    @property
    def error(self) -> OSError | None:
        """The error of reading the file itself; None if there was none."""
        return self._bytes.error

    def skip(self, before: SegmentReader) -> None:
        """Continue after the end of `before`, the reader of the same segment when it was shorter.

        Raises
        ------
        soundfile.LibsndfileError
            The decoder cannot seek to that position.
        """
        self._done, self._resampler = before._done, before._resampler
        self._sound.seek(self._done)

    def read(self, frames: int, rate: int) -> tuple[Floats, bool]:
        """Read about `frames` frames, resampled to `rate` Hz.

        Returns
        -------
        samples : shape = (frames, channels)
            The audio.
        ended
            True if the segment has ended.
        """
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
        """Return the next `frames` frames (frames, channels), or fewer at the end."""
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
                # The frames decoded before the fault are in the array, but their number is not
                # returned. The array was filled with NaN, so finite values count them.
                more = int(np.isfinite(samples[got:, 0]).sum())
            got += more
            if got < frames and not more and not self._skip_damage(self._done + got):
                break
        self._done += got
        return samples[:got]

    def _skip_damage(self, done: int) -> bool:
        """Open the audio after the damage at frame `done`; silence replaces the damaged frames.

        Return False if no audio follows.
        """
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
        """Close the decoder."""
        self._sound.close()
