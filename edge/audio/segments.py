"""A recording as the parts that a decoder reads one after another, each with a true header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

PIECE = 2**18  # bytes that are read at once to find something


@dataclass(frozen=True)
class Segment:
    """One recording within a file: `head`, then the bytes from `start` to `end` of the file.

    Files are cut off, concatenated, or have headers that state a wrong length. A decoder reads all
    of the audio if it is given each recording alone, under a header with the true length.
    """

    start: int
    end: int
    head: bytes = b""
    frames: int = 0  # that the original header promises; 0 if it does not say
    cut: str = ""  # a clause that says how the end is missing; empty if it is not
    damaged: bool = False  # whether there is something in it that is no audio
    open_end: bool = False  # whether its header does not say how long it is


class SegmentFile:
    """The bytes of one segment as a seekable file, for libsndfile."""

    def __init__(self, file: BinaryIO, segment: Segment) -> None:
        self._file, self._segment = file, segment
        self._at = 0
        self._size = len(segment.head) + segment.end - segment.start
        self.error: OSError | None = None  # libsndfile cannot pass it on

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, count: int) -> bytes:
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
    """The bytes of a file, read in pieces as they are asked for.

    A memory map would end the process if another program shortens the file meanwhile.
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
        """Return where `mark` first is between `start` and `stop`; -1 if nowhere."""
        while start < stop:
            piece = self[start : min(stop, start + PIECE)]
            found = piece.find(mark)
            if found >= 0:
                return start + found
            if len(piece) < len(mark):
                return -1
            start += len(piece) - len(mark) + 1
        return -1
