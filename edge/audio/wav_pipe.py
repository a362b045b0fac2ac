"""WAV from a pipe, which cannot be read as a file: its header, then PCM without an end."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from edge.audio.chunks import CUT, FOLLOWERS, SLACK, UNKNOWN_32
from edge.audio.pcm import PcmSource
from edge.errors import AudioError
from edge.inference.features import Floats

INTEGER, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE  # codes of formats
# By code and bits of a sample.
KINDS = {
    (INTEGER, 8): "u1",
    (INTEGER, 16): "i2",
    (INTEGER, 24): "i3",
    (INTEGER, 32): "i4",
    (FLOAT, 32): "f4",
    (FLOAT, 64): "f8",
}


@dataclass(frozen=True)
class WavHeader:
    """The header of a WAV file."""

    rate: int
    channels: int
    kind: str  # of a sample, as NumPy writes it
    audio: int  # bytes before the audio
    length: int  # of the audio in bytes, as the header states it; 0 if it does not know


def wav_header(head: bytes, ended: bool) -> WavHeader | None:
    """Return the header of the WAV that `head` begins; None if more of it must be read.

    Raises: ValueError if it is not plain PCM.
    """
    order = ">" if head[:4] == b"RIFX" else "<"
    at, form = 12, b""
    while at + 8 <= len(head):
        name, (size,) = head[at : at + 4], struct.unpack_from(f"{order}I", head, at + 4)
        if name == b"data":
            break
        if name == b"fmt ":
            form = head[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    else:
        if ended or at > 2**24:
            raise ValueError
        return None
    if len(form) < 16:
        raise ValueError
    code, channels, rate, _, _, bits = struct.unpack_from(f"{order}HHIIHH", form)
    if code == EXTENSIBLE and len(form) >= 26:
        (code,) = struct.unpack_from(f"{order}H", form, 24)
    if not (1 <= channels <= 64 and 1000 <= rate <= 768_000):
        raise ValueError
    kind = KINDS.get((code, bits))
    if kind is None:
        raise ValueError
    unknown = any(abs(size - value) <= SLACK for value in UNKNOWN_32)
    return WavHeader(rate, channels, order + kind, at + 8, 0 if unknown else size)


class WavPipe(PcmSource):
    """The audio of a WAV whose header was read from a pipe."""

    def __init__(
        self,
        name: str,
        pipe: BinaryIO,
        header: WavHeader,
        fast: bool,
        channel: int | None,
        first: bytes,
    ) -> None:
        """`first`: what was read of the pipe, from the beginning of the WAV on."""
        self.name, self.dtype = name, header.kind
        self._left = header.length  # bytes that the header promises, of what is not read yet
        self._bounded = header.length > 0
        first = first[header.audio :]
        super().__init__(pipe, header.rate, header.channels, fast, channel, first)

    def _more(self, count: int) -> bytes | None:
        at_end = self._bounded and self._left <= 0
        data = super()._more(count if not self._bounded or at_end else min(count, self._left))
        if data is None:
            return None
        if at_end:  # what follows is a chunk that holds no audio; or the header stated too little
            self._bounded = False
            return b"" if data[:4] in FOLLOWERS else data
        self._left -= len(data)
        return data

    def _check_end(self, done: int) -> None:
        super()._check_end(done)
        if self._bounded and self._left > 0:
            raise AudioError(
                f"{self.name}: ends after {done / self.rate:.1f} s, {CUT}; it is incomplete"
            )

    def _samples(self, data: bytes) -> Floats:
        if self.dtype[1:] != "i3":
            values = np.frombuffer(data, self.dtype)
            if self.dtype[1:] == "u1":
                return (values.astype(np.float32) - 128.0) / 128.0
            scale = {"i2": 2.0**15, "i4": 2.0**31}.get(self.dtype[1:], 1.0)
            return (values / scale).astype(np.float32)
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        place = slice(1, 4) if self.dtype[0] == "<" else slice(0, 3)
        wide[:, place] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        values = wide.view(self.dtype[0] + "i4")[:, 0]
        return (values / 2.0**31).astype(np.float32)
