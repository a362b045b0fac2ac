"""Find the audio in WAV, RF64, W64, AIFF, AU and CAF files, even if their headers are wrong."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from edge.audio.magic import MAGIC_BYTES, container_of
from edge.audio.segments import Segment

CUT = "before its header says"
# A recorder that cannot seek back to its header writes one of these lengths in bytes, minus the
# size of the header.
UNKNOWN_32 = (0x7F00_0000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
UNKNOWN_64 = 2**62  # 64-bit lengths from here on (bytes) mean "unknown": no file is this long.
SLACK = 65_536  # Largest difference in bytes between a stated length and a value of UNKNOWN_32.
LARGEST = 2**32 - 2 * SLACK  # Largest number of audio bytes under a 32-bit length.
PART = 2**30  # Audio bytes in each segment of a recording that is longer than LARGEST.
MOST_CHUNKS = 1000  # Largest number of chunks before the audio; a file with more has no audio.
LONGEST_HEAD = 2**24  # Largest number of bytes before the audio.
W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # End of every chunk name in a W64 file.
# Names of chunks that may follow the audio. A chunk with another name may follow it too, if its
# length fits the file.
FOLLOWERS = frozenset(
    b"LIST,id3 ,ID3 ,bext,cue ,fact,PEAK,smpl,inst,JUNK,junk,iXML,axml,PAD ,FLLR,afsp,_PMX,MARK,"
    b"COMT,INST,MIDI,NAME,AUTH,ANNO,APPL,AESD,CHAN,uuid,free,strg,info,mark,regn".split(b",")
)


@dataclass(frozen=True)
class Layout:
    """Layout of the chunks in a container."""

    first: int  # Bytes before the first chunk.
    id_size: int  # Bytes of a chunk's name.
    size: str  # `struct` format of a chunk's length field.
    align: int  # Chunks begin at multiples of this many bytes.
    counts_itself: bool  # True if a chunk's length includes its own header.
    data: bytes  # Name of the chunk with the audio.
    before: int  # Bytes of that chunk before the audio.
    length_at: int  # Offset of the field with the length of the whole file; 0 if there is none.

    @property
    def header(self) -> int:
        """Size of a chunk's header in bytes."""
        return self.id_size + struct.calcsize(self.size)


LAYOUTS = {
    b"RIFF": Layout(12, 4, "<I", 2, False, b"data", 0, 4),
    b"RIFX": Layout(12, 4, ">I", 2, False, b"data", 0, 4),
    b"FORM": Layout(12, 4, ">I", 2, False, b"SSND", 8, 4),
    b"riff": Layout(40, 16, "<Q", 8, True, b"data" + W64_TAIL, 0, 16),
    b"caff": Layout(8, 4, ">Q", 1, False, b"data", 4, 0),
}
LAYOUTS[b"RF64"] = LAYOUTS[b"BW64"] = LAYOUTS[b"RIFF"]


@dataclass(frozen=True)
class Chunk:
    """A chunk of a file."""

    name: bytes
    body: int  # Offset of its content in the file.
    size: int  # Length of its content in bytes, as its header states it.


def chunked_segments(file: BinaryIO, start: int, size: int) -> tuple[list[Segment], int]:
    """Return the segments of the recording that begins at offset `start`, and the offset after it.

    Parameters
    ----------
    file
        The file.
    start
        Offset of the recording in bytes.
    size
        Size of the file in bytes.

    Returns
    -------
    segments
        Empty if the headers do not lead to the audio.
    end
        Offset after the recording in bytes.
    """
    magic = _bytes(file, start, 4)
    if magic in (b".snd", b"dns."):
        return _au_segments(file, start, size)
    layout = LAYOUTS[magic]
    chunks: dict[bytes, Chunk] = {}
    at, count = start + layout.first, 0
    while (chunk := _chunk(file, at, layout)) is not None and chunk.name != layout.data:
        chunks[chunk.name] = chunk
        at, count = _after(chunk, layout, start), count + 1
        if count > MOST_CHUNKS:
            return [], size
    if chunk is None or chunk.body - start > LONGEST_HEAD:
        return [], size
    wide = chunks.get(b"ds64") if magic in (b"RF64", b"BW64") else None
    stated = chunk.size
    if wide is not None and stated == 0xFFFF_FFFF:
        (stated,) = struct.unpack("<Q", _bytes(file, wide.body + 8, 8).ljust(8, b"\0"))
    data = Chunk(chunk.name, chunk.body, stated)
    end, after = data.body + stated, _end_of(file, _after(data, layout, start), size, layout)
    if end > size or after is None:
        end = after = size
    if end == data.body + stated:
        return [Segment(start, after)], after
    cut = CUT if stated > size - chunk.body and not _is_unknown(stated, layout, wide) else ""
    return _patched(file, start, end, layout, chunks, data, wide, cut), after


def _bytes(file: BinaryIO, at: int, count: int) -> bytes:
    """Return `count` bytes from offset `at`, or fewer at the end of the file."""
    try:
        file.seek(at)
        return file.read(count)
    except (OSError, ValueError):  # A damaged header may point to an offset outside the file.
        return b""


def _chunk(file: BinaryIO, at: int, layout: Layout) -> Chunk | None:
    head = _bytes(file, at, layout.header)
    if len(head) < layout.header:
        return None
    (size,) = struct.unpack(layout.size, head[layout.id_size :])
    if layout.counts_itself:
        size = max(0, size - layout.header)
    return Chunk(head[: layout.id_size], at + layout.header, size)


def _after(chunk: Chunk, layout: Layout, start: int) -> int:
    """Return the offset of the chunk after `chunk`."""
    end = chunk.body + chunk.size
    return end + -(end - start) % layout.align


def _is_unknown(stated: int, layout: Layout, wide: Chunk | None) -> bool:
    """Return True if the length `stated` means that the recorder did not know the length."""
    if "Q" in layout.size or wide is not None:
        return stated >= UNKNOWN_64
    return any(abs(stated - value) <= SLACK for value in UNKNOWN_32)


def _end_of(file: BinaryIO, at: int, size: int, layout: Layout) -> int | None:
    """Return the end of a recording whose audio seems to end at offset `at`.

    The chunks at `at` belong to the recording; another recording or the end of the file ends it.
    Return None if there is neither a chunk nor a recording at `at`. The audio then continues, and
    its header states too short a length.
    """
    origin = at
    while at < size:
        head = _bytes(file, at, MAGIC_BYTES)
        if container_of(head) is not None:
            return at
        chunk = _chunk(file, at, layout)
        if chunk is None:
            return size
        name = chunk.name[:4]
        following = _after(chunk, layout, origin)
        # The name of a chunk is printable. The file may end within a known chunk if it is cut off.
        fits = following <= size + 1 and all(32 <= byte < 127 for byte in name)
        if name not in FOLLOWERS and not fits:
            return None
        at = following
    return size


def _patched(
    file: BinaryIO,
    start: int,
    end: int,
    layout: Layout,
    chunks: dict[bytes, Chunk],
    data: Chunk,
    wide: Chunk | None,
    cut: str,
) -> list[Segment]:
    """Return the audio of chunk `data` up to offset `end` as segments with true lengths."""
    audio = data.body + layout.before
    head = bytearray(_bytes(file, start, audio - start))
    frame = _frame_size(file, chunks)
    end = max(end, audio)
    step = end - audio
    if "I" in layout.size and wide is None and step > LARGEST:
        step = PART // frame * frame
    segments = []
    for part in range(audio, end, step) if step else [audio]:
        count = min(step, end - part)
        _put_length(head, data.body - start - struct.calcsize(layout.size), layout, count)
        if layout.length_at:
            whole = len(head) + count - (0 if layout.counts_itself else layout.header)
            struct.pack_into(layout.size, head, layout.length_at, min(whole, 0xFFFF_FFFF))
        if wide is not None:
            struct.pack_into("<QQ", head, wide.body - start, len(head) + count - 8, count)
            struct.pack_into("<I", head, data.body - start - 4, 0xFFFF_FFFF)
        if (common := chunks.get(b"COMM")) is not None:
            struct.pack_into(">I", head, common.body - start + 2, min(count // frame, 0xFFFF_FFFF))
        segments.append(
            Segment(
                part,
                part + count,
                bytes(head),
                cut=cut if part + count == end else "",
                open_end=part + count == end,
            )
        )
    return segments


def _put_length(head: bytearray, at: int, layout: Layout, count: int) -> None:
    """Write the length of a chunk with `count` bytes of audio at offset `at` of `head`."""
    stated = count + layout.before + (layout.header if layout.counts_itself else 0)
    struct.pack_into(layout.size, head, at, stated)


def _frame_size(file: BinaryIO, chunks: dict[bytes, Chunk]) -> int:
    """Return the size in bytes of one frame (a sample of every channel); 1 if unknown."""
    if (form := chunks.get(b"fmt ")) is not None:
        block = _bytes(file, form.body + 12, 2)
        return max(1, int.from_bytes(block, "little"))
    if (form := chunks.get(b"COMM")) is not None:
        block = _bytes(file, form.body, 8).ljust(8, b"\0")
        channels, _, bits = struct.unpack(">HIH", block)
        return max(1, channels * ((bits + 7) // 8))
    return 1


def _au_segments(file: BinaryIO, start: int, size: int) -> tuple[list[Segment], int]:
    head = bytearray(_bytes(file, start, 24))
    order = ">" if head[:4] == b".snd" else "<"
    offset, stated = struct.unpack_from(f"{order}II", head, 4)
    body = start + offset
    if not 24 <= offset <= LONGEST_HEAD or body > size:
        return [], size
    after = body + stated
    if after == size or (
        after < size and container_of(_bytes(file, after, MAGIC_BYTES)) is not None
    ):
        return [Segment(start, after)], after
    unknown = any(abs(stated - value) <= SLACK for value in UNKNOWN_32)
    cut = CUT if after > size and not unknown else ""
    head += _bytes(file, start + 24, offset - 24)
    # libsndfile reads this length as "to the end of the file".
    struct.pack_into(f"{order}I", head, 8, 0xFFFF_FFFF)
    return [Segment(body, size, bytes(head), cut=cut, open_end=True)], size
