"""Find each recording in concatenated FLAC files, and the next intact frame after damage."""

from __future__ import annotations

from edge.audio.segments import FileBytes, Segment

# First bytes of a FLAC stream: the marker, then the header of the STREAMINFO block, which must
# follow it.
STARTS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")
HEAD = 26  # Bytes from the start of a stream to the end of its total number of samples.
INFO = 42  # Bytes from the start of a stream to the end of STREAMINFO, which every decoder needs.
MOST_SAMPLES = 2**36 - 1  # Largest number of samples that STREAMINFO can state.
FRAME_HEAD = 16  # Largest size of a frame header in bytes.


def flac_segments(data: FileBytes, start: int, size: int) -> tuple[list[Segment], int]:
    """Return each FLAC stream from `start` on, and the end of the last one.

    The header of each segment states the largest possible number of samples, so that the decoder
    reads all audio.
    """
    starts = []
    for mark in STARTS:
        at = data.find(mark, start, size)
        while at >= 0:
            starts.append(at)
            at = data.find(mark, at + 1, size)
    starts.sort()
    segments = []
    for at, end in zip(starts, [*starts[1:], size], strict=True):
        head = bytearray(data[at : at + HEAD])
        if len(head) < HEAD:
            break
        packed = int.from_bytes(head[18:26], "big")
        head[18:26] = (packed | MOST_SAMPLES).to_bytes(8, "big")
        promised = packed & MOST_SAMPLES
        segments.append(
            Segment(at + HEAD, end, bytes(head), frames=promised, open_end=promised == 0)
        )
    return segments, size


def flac_after(data: FileBytes, segment: Segment, done: int) -> tuple[Segment, int] | None:
    """Return the rest of the FLAC stream `segment` after a damaged frame.

    Parameters
    ----------
    data
        The file.
    segment
        The FLAC stream.
    done
        Number of samples before the damaged frame.

    Returns
    -------
    rest, sample
        The segment from the next intact frame on, and the number of samples before it; None if no
        frame follows.
    """
    info = segment.head + data[segment.start : segment.start + INFO - HEAD]
    block = int.from_bytes(info[8:10], "big")
    at = data.find(b"\xff", segment.start + INFO - HEAD, segment.end)
    while at >= 0:
        sample = _sample_at(data[at : at + FRAME_HEAD], block)
        if sample is not None and sample > done:
            head = info[:4] + bytes([info[4] | 0x80]) + info[5:]
            return Segment(at, segment.end, head, segment.frames), sample
        at = data.find(b"\xff", at + 1, segment.end)
    return None


def _sample_at(head: bytes, block: int) -> int | None:
    """Return the number of the first sample of the frame whose header `head` begins.

    Return None if `head` does not begin with a frame header. `block` is the number of samples in
    each frame of a stream with a fixed block size.
    """
    if len(head) < FRAME_HEAD or head[1] & 0xFE != 0xF8 or head[2] >> 4 == 0 or head[3] & 1:
        return None
    lead = head[4]
    ones = 8 - (lead ^ 0xFF).bit_length() if lead != 0xFF else 8
    if ones == 1 or ones > 7:
        return None
    number = lead & (0x7F >> ones) if ones else lead
    for byte in head[5 : 5 + max(0, ones - 1)]:
        if byte & 0xC0 != 0x80:
            return None
        number = number << 6 | byte & 0x3F
    at = 5 + max(0, ones - 1) + {6: 1, 7: 2}.get(head[2] >> 4, 0)
    at += {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if at >= len(head) or _crc8(head[:at]) != head[at]:
        return None
    return number if head[1] & 1 else number * block


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc
