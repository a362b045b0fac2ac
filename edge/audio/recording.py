"""Split an audio file of any container into segments."""

from __future__ import annotations

import os
from typing import BinaryIO

from edge.audio.chunks import chunked_segments
from edge.audio.flac import flac_segments
from edge.audio.magic import MAGIC_BYTES, container_of, id3_size
from edge.audio.packed import mp3_segments, ogg_segments
from edge.audio.segments import FileBytes, Segment

MOST_SEGMENTS = 100_000  # Largest number of segments; a file with more is damaged on purpose.
PACKED = {"FLAC": flac_segments, "Ogg": ogg_segments, "MP3": mp3_segments}


def segments_of(file: BinaryIO) -> list[Segment]:
    """Return the segments of the regular file `file`, in order; at least one."""
    size = os.fstat(file.fileno()).st_size
    found: list[Segment] = []
    if size == 0:
        return [Segment(0, 0)]
    data, start = FileBytes(file), 0
    while start < size and len(found) < MOST_SEGMENTS:
        while (tag := id3_size(data[start : start + 10])) > 0:
            start += tag
        kind = container_of(data[start : start + MAGIC_BYTES])
        if kind in PACKED:
            more, end = PACKED[kind](data, start, size)
        elif kind in ("WAV", "W64", "AIFF", "AU", "CAF"):
            more, end = chunked_segments(file, start, size)
        else:
            break
        if not more or end <= start:
            break
        found += more
        start = end
    return found or [Segment(0, size)]
