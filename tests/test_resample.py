"""Resampling block by block is resampling the whole; channels are mixed."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from edge.audio.resampler import Resampler


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 44_100, 48_000, 192_000])
def test_blocks_give_what_the_whole_gives(rate: int) -> None:
    rng = np.random.default_rng(rate)
    mono = rng.standard_normal(rate).astype(np.float32) * 0.1
    resampler, out, at = Resampler(rate, 16_000), [], 0
    while at < rate:
        size = int(rng.integers(1, rate // 7))
        out.append(resampler.push(mono[at : at + size, None]))
        at += size
    out.append(resampler.push(np.zeros((0, 1), np.float32), last=True))
    whole = soxr.resample(mono, rate, 16_000)
    joined = np.concatenate(out)
    assert len(joined) == len(whole)
    np.testing.assert_allclose(joined, whole, atol=1e-4)


def test_channels_are_averaged() -> None:
    frames = np.array([[1.0, 0.0, -0.5, 0.5]] * 5, np.float32)
    np.testing.assert_allclose(Resampler(16_000, 16_000).push(frames), 0.25)
