"""Read WAV from a pipe, which cannot seek: the header, then PCM that may have no end."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from edge.audio.chunks import CUT, FOLLOWERS, SLACK, UNKNOWN_32
from edge.audio.file import HIGHEST_RATE, LOWEST_RATE, MOST_CHANNELS
from edge.audio.pcm import PcmSource
from edge.errors import AudioError
from edge.inference.features import Floats

INTEGER, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE  # Format codes of the chunk "fmt ".
# NumPy type of a sample without byte order, by format code and bits per sample. "i3" (24 bits) is
# not known to NumPy and is converted here.
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

    rate: int  # Hz
    channels: int
    kind: str  # Byte order and type of a sample in NumPy's notation.
    audio: int  # Bytes before the audio.
    length: int  # Length of the audio in bytes, as the header states it; 0 if unknown.


def wav_header(head: bytes, ended: bool) -> WavHeader | None:
    """Return the header of a WAV from its first bytes; None if more bytes are needed.

    Parameters
    ----------
    head
        The first bytes.
    ended
        True if the pipe ends after `head`.

    Raises
    ------
    ValueError
        The WAV does not hold plain PCM, or its header is not valid.
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
    if not (1 <= channels <= MOST_CHANNELS and LOWEST_RATE <= rate <= HIGHEST_RATE):
        raise ValueError
    kind = KINDS.get((code, bits))
    if kind is None:
        raise ValueError
    unknown = any(abs(size - value) <= SLACK for value in UNKNOWN_32)
    return WavHeader(rate, channels, order + kind, at + 8, 0 if unknown else size)


class WavPipe(PcmSource):
    """The audio of a WAV whose header has already been read from a pipe."""

    def __init__(
        self,
        name: str,
        pipe: BinaryIO,
        header: WavHeader,
        fast: bool,
        channel: int | None,
        first: bytes,
    ) -> None:
        """Prepare to read `pipe`.

        Parameters
        ----------
        name
            Name of the pipe in messages.
        pipe
            The pipe, which stays the caller's.
        header
            The header of the WAV.
        fast
            True to read as fast as possible, False to read in real time.
        channel
            The channel to return, counted from 1; None for all.
        first
            Bytes already read from the pipe; `header.audio` of them precede the audio.

        Raises
        ------
        AudioError
            The WAV has no such channel.
        """
        self.name, self.dtype = name, header.kind
        self._left = header.length  # Bytes of audio that the header states and are still unread.
        self._bounded = header.length > 0  # True while the length in the header applies.
        first = first[header.audio :]
        super().__init__(pipe, header.rate, header.channels, fast, channel, first)

    def _more(self, count: int) -> bytes | None:
        at_end = self._bounded and self._left <= 0
        data = super()._more(count if not self._bounded or at_end else min(count, self._left))
        if data is None:
            return None
        # After the stated length comes a chunk without audio, or the header states too little.
        if at_end:
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
