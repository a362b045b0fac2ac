"""Recognise the container of audio by its first bytes."""

from __future__ import annotations

import struct
from functools import cache

MAGIC_BYTES = 16_384  # Number of first bytes that suffice to recognise every container here.
MP3_FRAMES = 4  # Consecutive frame headers that prove MP3; fewer occur in raw PCM by chance.
W64_ID = bytes.fromhex("2e91cf11a5d628db04c10000")  # End of the first chunk's name in a W64 file.
TEXT_BYTES = 64  # Smallest number of bytes that can be recognised as text.

# Bit rates of MPEG audio in kbit/s by version and layer. The key (1, layer) is MPEG-1; (2, layer)
# is MPEG-2 and MPEG-2.5. Index 0 means free format, which is not supported.
BITRATES = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


@cache
def mpeg_frame(head: bytes) -> tuple[int, int, int]:
    """Return the length in bytes, the rate in Hz and the number of samples of an MPEG audio frame.

    `head` holds the first three bytes of the frame header. Return three zeros if it is not a valid
    header.
    """
    if len(head) < 3:
        return 0, 0, 0
    first, second, third = head
    if first != 0xFF or second & 0xE0 != 0xE0:
        return 0, 0, 0
    version, layer = second >> 3 & 3, 4 - (second >> 1 & 3)
    bitrate, rate_index = third >> 4, third >> 2 & 3
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate_index == 3:
        return 0, 0, 0
    rate = (44_100, 48_000, 32_000)[rate_index] >> {3: 0, 2: 1, 0: 2}[version]
    old = 1 if version == 3 else 2
    bits = BITRATES[old, layer][bitrate] * 1000
    if layer == 1:
        return (12 * bits // rate + (third >> 1 & 1)) * 4, rate, 384
    samples = 576 if layer == 3 and old == 2 else 1152
    return samples // 8 * bits // rate + (third >> 1 & 1), rate, samples


def id3_size(head: bytes) -> int:
    """Return the size in bytes of the ID3v2 tag at the start of `head`; 0 if there is none."""
    if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 127:
        return 0
    a, b, c, d = head[6:10]
    return 10 + (a << 21 | b << 14 | c << 7 | d) + (10 if head[5] & 0x10 else 0)


def container_of(head: bytes) -> str | None:
    """Return the container of a file from its first bytes `head`; None if it is unknown.

    The result is "WAV", "W64", "AIFF", "AU", "CAF", "FLAC", "Ogg" or "MP3"; "a tag" for an ID3v2
    tag before one of these; or "AAC", "MP4", "Matroska", "AVI" or "MPEG-TS", which only ffmpeg
    reads.
    """
    kinds = {
        (b"RIFF", b"WAVE"): "WAV",
        (b"RF64", b"WAVE"): "WAV",
        (b"BW64", b"WAVE"): "WAV",
        (b"RIFX", b"WAVE"): "WAV",
        (b"RIFF", b"AVI "): "AVI",
        (b"FORM", b"AIFF"): "AIFF",
        (b"FORM", b"AIFC"): "AIFF",
    }
    if (kind := kinds.get((head[:4], head[8:12]))) is not None:
        return kind
    if head[:4] == b"riff" and head[4:16] == W64_ID:
        return "W64"
    if head[:4] in (b".snd", b"dns."):
        return "AU" if _is_au(head) else None
    if head[:8] == b"caff\x00\x01\x00\x00":
        return "CAF"
    if head[:4] == b"fLaC" and head[4:5] in (b"\x00", b"\x80") and head[5:8] == b"\0\0\x22":
        return "FLAC"
    if head[:5] == b"OggS\x00":
        return "Ogg"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "Matroska"
    if head[4:8] == b"ftyp":
        return "MP4"
    if id3_size(head):
        return "a tag"
    if len(head) > 564 and head[0] == head[188] == head[376] == head[564] == 0x47:
        return "MPEG-TS"
    if _is_mpeg(head):
        return "MP3"
    return "AAC" if _is_adts(head) else None


def _is_au(head: bytes) -> bool:
    if len(head) < 24:
        return False
    order = ">" if head[:4] == b".snd" else "<"
    offset, _, encoding, rate, channels = struct.unpack(f"{order}5I", head[4:24])
    return bool(offset >= 24 and 1 <= encoding <= 30 and rate and 1 <= channels <= 1024)


def _is_mpeg(head: bytes) -> bool:
    at, rate = 0, 0
    for _ in range(MP3_FRAMES):
        if at + 3 > len(head):
            return False
        length, this_rate, _ = mpeg_frame(head[at : at + 3])
        if not length or rate not in (0, this_rate):
            return False
        at, rate = at + length, this_rate
    return True


def _is_adts(head: bytes) -> bool:
    at = 0
    for _ in range(MP3_FRAMES):
        if at + 7 > len(head) or head[at] != 0xFF or head[at + 1] & 0xF6 != 0xF0:
            return False
        length = (head[at + 3] & 3) << 11 | head[at + 4] << 3 | head[at + 5] >> 5
        if length < 8:
            return False
        at += length
    return True


def is_text(head: bytes) -> bool:
    """Return True if `head` is text, such as a web page, and therefore not audio."""
    return (
        len(head) >= TEXT_BYTES
        and len(set(head)) > 8
        and all(byte in b"\t\n\r\x1b" or 32 <= byte < 127 for byte in head[:512])
    )
