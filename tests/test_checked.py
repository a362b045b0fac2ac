"""Samples that no converter gives are silence, so that no level and no power overflows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from edge.audio.ring_buffer import Block
from edge.audio.validation import validated


class Broken:
    """A source with one block."""

    name, rate, lossless = "broken", 16_000, True

    def __init__(self, value: float) -> None:
        self._samples = np.full((1600, 1), 0.1, np.float32)
        self._samples[7] = value

    def blocks(self) -> Iterator[Block]:
        yield Block(self._samples, 0)

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -3e38])
def test_values_that_are_no_audio_are_silence(
    value: float, caplog: pytest.LogCaptureFixture
) -> None:
    (block,) = validated(Broken(value))
    assert block.samples[7] == 0.0
    assert np.count_nonzero(block.samples == np.float32(0.1)) == 1599
    assert "broken: gives values that are no numbers" in caplog.text


def test_audio_above_full_scale_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    (block,) = validated(Broken(3.0))
    assert block.samples[7] == 3.0
    assert not caplog.records
