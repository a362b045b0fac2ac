"""Audio in memory as a source of the loop that runs on the device."""

from __future__ import annotations

from collections.abc import Iterator

from edge.audio.ring_buffer import Block
from edge.inference.features import Floats


class Recorded:
    """Mono `audio` at `rate` Hz, 0.25 s at a time; it waits for the loop."""

    name, lossless = "audio in memory", True

    def __init__(self, audio: Floats, rate: int) -> None:
        self._audio, self.rate = audio, rate

    def blocks(self) -> Iterator[Block]:
        step = self.rate // 4
        for start in range(0, len(self._audio), step):
            yield Block(self._audio[start : start + step, None])

    def close(self) -> None:
        pass
