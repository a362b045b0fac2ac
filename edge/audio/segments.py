"""Segments: the recordings within a file, each with a correct header for the decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

PIECE = 2**18  # Smallest number of bytes that a search reads from the file at once.


@dataclass(frozen=True)
class Segment:
    """One recording within a file: the bytes `head`, then the file's bytes `start` to `end`.

    Files may be cut off or concatenated, or their headers may state a wrong length. A decoder
    reads all audio if it gets each recording alone, under a header with the true length.
    """

    start: int  # Offset in the file.
    end: int  # Offset in the file after the last byte.
    head: bytes = b""
    frames: int = 0  # Number of frames in the original header; 0 if it states none.
    cut: str = ""  # Clause for a message if the end is missing, else empty.
    damaged: bool = False  # True if the segment contains bytes that are not audio.
    open_end: bool = False  # True if the original header states no length.


class SegmentFile:
    """The bytes of one segment as a seekable file, for libsndfile."""

    def __init__(self, file: BinaryIO, segment: Segment) -> None:
        self._file, self._segment = file, segment
        self._at = 0
        self._size = len(segment.head) + segment.end - segment.start
        self.error: OSError | None = None  # Kept here, because libsndfile cannot pass it on.

    def seek(self, offset: int, whence: int = 0) -> int:
        """Set the position in bytes as `io.IOBase.seek` does, and return it."""
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._at

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes. A read error is kept in `error` and ends the data."""
        head, at = self._segment.head, self._at
        data = head[at : at + count]
        if len(data) < count and at + len(data) < self._size:
            place = self._segment.start + at + len(data) - len(head)
            try:
                self._file.seek(place)
                data += self._file.read(min(count - len(data), self._segment.end - place))
            except OSError as error:
                self.error = error
        self._at += len(data)
        return data


class FileBytes:
    """The bytes of a file, read in pieces on demand.

    A memory map is not used, because it kills the process if another program shortens the file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start, self._piece = 0, b""

    def __getitem__(self, place: slice) -> bytes:
        """Return the bytes from `place.start` to `place.stop`, or to the end of the file."""
        start, stop = int(place.start), int(place.stop)
        if start < self._start or stop > self._start + len(self._piece):
            self._file.seek(start)
            self._start, self._piece = start, self._file.read(max(stop - start, PIECE))
        return self._piece[start - self._start : stop - self._start]

    def find(self, mark: bytes, start: int, stop: int) -> int:
        """Return the first offset of `mark` between `start` and `stop`; -1 if it is not there."""
        while start < stop:
            piece = self[start : min(stop, start + PIECE)]
            found = piece.find(mark)
            if found >= 0:
                return start + found
            if len(piece) < len(mark):
                return -1
            start += len(piece) - len(mark) + 1
        return -1
