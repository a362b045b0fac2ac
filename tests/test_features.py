"""Log-mel features against their definition, whole and in pieces."""

from __future__ import annotations

import numpy as np
import pytest

from edge.inference.features import FeatureSpec, LogMel, LogMelStream, level_db, mel_bands

SPEC = FeatureSpec(16_000, 512, 160, 64, 0.0, 8000.0, 1e-10, -24.0, 19.0)


def tone(hz: float, seconds: float, amplitude: float = 1.0) -> np.ndarray:
    t = np.arange(int(seconds * SPEC.sample_rate)) / SPEC.sample_rate
    return (amplitude * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def test_a_frame_is_what_the_definition_says() -> None:
    """One frame, computed in float64 from the sums themselves."""
    samples = np.random.default_rng(0).standard_normal(2000).astype(np.float32)
    n = np.arange(512)
    frame = samples[3 * 160 : 3 * 160 + 512] * (0.5 - 0.5 * np.cos(2 * np.pi * n / 512))
    k = np.arange(257)[:, None]
    power = np.abs((frame * np.exp(-2j * np.pi * k * n / 512)).sum(1)) ** 2
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 66) / 2595) - 1)
    expected = []
    for low, centre, high in zip(edges[:-2], edges[1:-1], edges[2:], strict=True):
        hz = k[:, 0] * 16_000 / 512
        weight = np.clip(
            np.minimum((hz - low) / (centre - low), (high - hz) / (high - centre)), 0, 1
        )
        expected.append(10 * np.log10(max((weight * power).sum(), 1e-10)))
    got = LogMel(SPEC)(samples)[3] * SPEC.std + SPEC.mean
    np.testing.assert_allclose(got, expected, atol=2e-3)


def test_frames_are_counted_without_padding() -> None:
    log_mel = LogMel(SPEC)
    for samples in (0, 511, 512, 671, 672, 16_000):
        assert len(log_mel(np.zeros(samples, np.float32))) == SPEC.frames(samples)
    assert SPEC.frames(SPEC.samples(77)) == 77


def test_a_tone_is_loudest_in_its_own_band() -> None:
    centres = mel_bands(SPEC).argmax(axis=0) * SPEC.sample_rate / SPEC.window
    loudest = LogMel(SPEC)(tone(1000.0, 0.5)).mean(axis=0).argmax()
    assert abs(centres[loudest] - 1000.0) < 60.0


def test_a_stream_in_pieces_gives_the_frames_of_the_whole() -> None:
    rng = np.random.default_rng(1)
    samples = rng.standard_normal(40_000).astype(np.float32)
    stream, pieces, at = LogMelStream(SPEC), [], 0
    while at < len(samples):
        size = int(rng.integers(0, 1500))
        pieces.append(stream.push(samples[at : at + size]))
        at += size
    # Matrix products of other sizes round otherwise in the last bit.
    np.testing.assert_allclose(np.concatenate(pieces), LogMel(SPEC)(samples), atol=1e-5)


@pytest.mark.parametrize("amplitude", [1.0, 0.1, 0.001])
def test_level_is_the_rms_in_decibels(amplitude: float) -> None:
    level = level_db(LogMel(SPEC)(tone(1000.0, 1.0, amplitude)), SPEC)
    np.testing.assert_allclose(level, 20 * np.log10(amplitude / np.sqrt(2)), atol=0.3)
