"""Find each recording in concatenated Ogg and MP3 files, and check if its end is missing."""

from __future__ import annotations

import struct

from edge.audio.chunks import CUT
from edge.audio.magic import MAGIC_BYTES, container_of, id3_size, mpeg_frame
from edge.audio.segments import FileBytes, Segment

NO_END = "without the mark of its end"
OGG_FIRST, OGG_LAST = 2, 4  # Flags in the header of the first and the last page of a stream.
RESYNC_FRAMES = 2  # Consecutive frame headers that prove MP3 after damage.


def ogg_segments(data: FileBytes, start: int, size: int) -> tuple[list[Segment], int]:
    """Return each link of a chained Ogg file from offset `start` on, and the end of the last."""
    segments: list[Segment] = []
    at = first = start
    flags = OGG_FIRST  # Flags of the previous page.
    cut, damaged = "", False
    while at < size:
        if data[at : at + 4] != b"OggS":
            if container_of(data[at : at + MAGIC_BYTES]) is not None:
                break
            found = data.find(b"OggS", at, size)
            if found < 0:
                cut = cut or CUT
                at = size
                break
            at, damaged = found, True
            continue
        header = data[at : at + 27]
        table = data[at + 27 : at + 27 + header[26]] if len(header) == 27 else b""
        if len(header) < 27 or len(table) < header[26]:
            at, cut, flags = size, CUT, 0
            break
        if header[5] & OGG_FIRST and not flags & OGG_FIRST:
            segments.append(Segment(first, at, damaged=damaged))
            first, damaged = at, False
        flags = header[5]
        end = at + 27 + len(table) + sum(table)
        if end > size:
            cut, end = CUT, size
        at = end
    if not cut and not flags & OGG_LAST:
        cut = NO_END
    segments.append(Segment(first, at, cut=cut, damaged=damaged))
    return segments, at


def mp3_segments(data: FileBytes, start: int, size: int) -> tuple[list[Segment], int]:
    """Return each MP3 stream from offset `start` on, and the end of the last.

    Each segment has a header with its true length.
    """
    segments: list[Segment] = []
    at, first, frames, rate, cut, damaged = start, -1, 0, 0, "", False

    def add(end: int) -> None:
        if frames:
            segments.append(_mp3_segment(data, first, end, frames, cut, damaged))

    end = start
    while at + 4 <= size:
        length, this_rate, _ = mpeg_frame(data[at : at + 3])
        if not length or (rate and this_rate != rate and not _is_mp3_at(data, at, size)):
            following = _after_tag(data, at)
            if following == at and container_of(data[at : at + MAGIC_BYTES]) is not None:
                break
            if following == at:
                following = _after_damage(data, at, size)
                damaged |= following < size
            at = following
            continue
        if at + length > size:
            cut = CUT
            break
        if not rate or this_rate != rate or _info_at(data, at):
            add(end)
            first, frames, rate, damaged = at, 0, this_rate, False
        frames += 1
        at += length
        end = at
    add(size if cut else end)
    return segments, at if at < size and not cut and container_of(
        data[at : at + MAGIC_BYTES]
    ) else size


def _is_mp3_at(data: FileBytes, at: int, size: int) -> bool:
    """Return True if consecutive MPEG audio frames begin at offset `at`."""
    rate = 0
    for _ in range(RESYNC_FRAMES):
        if at + 4 > size:
            return rate != 0
        length, this_rate, _ = mpeg_frame(data[at : at + 3])
        if not length or rate not in (0, this_rate):
            return False
        at, rate = at + length, this_rate
    return True


def _after_tag(data: FileBytes, at: int) -> int:
    """Return the offset after the tag at offset `at`; `at` if there is no tag."""
    head = data[at : at + 10]
    return at + 128 if head[:3] == b"TAG" else at + id3_size(head)


def _after_damage(data: FileBytes, at: int, size: int) -> int:
    """Return the offset of the next MP3 frames after the damage at `at`; `size` if none follow."""
    found = data.find(b"\xff", at + 1, size)
    while found >= 0:
        if _is_mp3_at(data, found, size):
            return found
        found = data.find(b"\xff", found + 1, size)
    return size


def _info_place(head: bytes) -> int:
    """Return the offset of the Xing header in a frame that begins with the four bytes `head`."""
    mono, old = head[3] >> 6 == 3, not head[1] & 8
    if old:
        return 13 if mono else 21
    return 21 if mono else 36


def _info_at(data: FileBytes, at: int) -> int:
    """Return the offset in the file of the Xing header of the frame at `at`; 0 if it has none."""
    place = at + _info_place(data[at : at + 4])
    return place if data[place : place + 4] in (b"Xing", b"Info") else 0


def _mp3_segment(
    data: FileBytes, first: int, end: int, frames: int, cut: str, damaged: bool
) -> Segment:
    """Return the segment of `frames` frames from offset `first` on, with a correct Xing header.

    Without a Xing header the decoder guesses the length of a stream with a variable bit rate, and
    may be wrong by half.
    """
    length, _, _ = mpeg_frame(data[first : first + 3])
    place = _info_at(data, first)
    if not place:
        head = bytearray(length)
        head[:4] = data[first : first + 4]
        head[1] |= 1  # The new frame has no checksum.
        at = _info_place(bytes(head[:4]))
        # A frame that is too small for the header needs none: the decoder's guess is exact here.
        if at + 12 > length:
            return Segment(first, end, cut=cut, damaged=damaged)
        struct.pack_into(">4sII", head, at, b"Xing", 1, frames)
        return Segment(first, end, bytes(head), cut=cut, damaged=damaged)
    head = bytearray(data[first : first + length])
    at = place - first
    (flags,) = struct.unpack_from(">I", head, at + 4)
    real = frames - 1  # The frame with the Xing header holds no audio.
    if flags & 1 and at + 12 <= length:
        (stated,) = struct.unpack_from(">I", head, at + 8)
        if stated > real + 1:  # Some encoders count the frame with the Xing header too.
            cut = CUT
        struct.pack_into(">I", head, at + 8, real)
        if flags & 2 and at + 16 <= length:
            struct.pack_into(">I", head, at + 12, end - first)
    elif at + 12 <= length:
        head[at:] = bytes(length - at)
        struct.pack_into(">4sII", head, at, b"Xing", 1, real)
    return Segment(first + length, end, bytes(head), cut=cut, damaged=damaged)
