"""Channels are mixed so that none cancels another, however the audio is cut into blocks."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from edge.audio.mixing import Mixer
from edge.inference.features import Floats

RATE = 16_000
RNG = np.random.default_rng(3)
A, B = (RNG.normal(0.0, 0.1, 3 * RATE).astype(np.float32) for _ in range(2))


def mixed(channels: list[Floats]) -> Floats:
    return Mixer(RATE).push(np.stack(channels, axis=1), last=True)


def heard(mix: Floats, sound: Floats) -> float:
    """How alike the two are."""
    return abs(float(np.corrcoef(mix, sound)[0, 1]))


@pytest.mark.parametrize("other", [-1.0, -0.9, -0.5])
def test_stereo_in_opposite_phase_is_not_silence(other: float) -> None:
    mix = mixed([A, np.float32(other) * A])
    assert heard(mix, A) > 0.999
    assert np.std(mix) > 0.7 * np.std(A)


def test_both_pairs_of_four_channels_are_heard() -> None:
    mix = mixed([A, -A, B, -B])
    assert heard(mix, A) > 0.6
    assert heard(mix, B) > 0.6


def test_a_pair_beside_another_channel_is_heard() -> None:
    mix = mixed([A, -A, B])
    assert heard(mix, A) > 0.6
    assert heard(mix, B) > 0.3


def test_three_channels_that_sum_to_nothing_are_not_silence() -> None:
    mix = mixed([A, B, -(A + B)])
    assert np.std(mix) > 0.5 * np.std(A)


def test_a_sound_in_opposite_phase_is_heard_over_noise_that_is_not() -> None:
    quiet = 0.01
    bark = np.where(np.arange(3 * RATE) // (RATE // 4) % 4 == 1, A, 0.0).astype(np.float32)
    left, right = (RNG.normal(0.0, quiet, 3 * RATE).astype(np.float32) for _ in range(2))
    mix = mixed([left + bark, right - bark])
    assert heard(mix, bark) > 0.95


def test_other_channels_are_averaged_exactly(caplog: pytest.LogCaptureFixture) -> None:
    for channels in ([A, A], [A, B], [A, 0.0 * A], [A, B, A], [A, 0.5 * B, 0.1 * A + B, 0.0 * A]):
        stacked = np.stack(channels, axis=1).astype(np.float32)
        np.testing.assert_array_equal(
            Mixer(RATE).push(stacked, last=True), stacked.mean(axis=1, dtype=np.float32)
        )
    assert not caplog.records


def test_it_does_not_matter_how_the_audio_is_cut() -> None:
    drift = np.cos(np.linspace(0.0, 20.0, 3 * RATE)).astype(np.float32)
    stereo = np.stack([A, drift * A + (1 - np.abs(drift)) * B], axis=1)
    whole = Mixer(RATE).push(stereo, last=True)
    assert len(whole) == len(stereo)
    for size in (1, 97, 800, 4001):
        mixer = Mixer(RATE)
        cut = stereo[: 20 * size] if size == 1 else stereo
        pieces = [mixer.push(cut[at : at + size]) for at in range(0, len(cut), size)]
        pieces.append(mixer.push(cut[:0], last=True))
        if size > 1:
            np.testing.assert_array_equal(np.concatenate(pieces), whole)
        else:
            assert len(np.concatenate(pieces)) == len(cut)


def test_a_change_makes_no_click() -> None:
    tone = (0.1 * np.sin(np.arange(3 * RATE) / 20.0)).astype(np.float32)
    turning = np.cos(np.linspace(0.0, 3.0, 3 * RATE)).astype(np.float32)
    mix = mixed([tone, turning * tone])
    assert np.std(mix[-RATE:]) > 0.5 * np.std(tone)
    assert np.abs(np.diff(mix)).max() < 0.02


def test_it_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    mixer = Mixer(RATE, "kitchen")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            mixer.push(np.stack([A, -A], axis=1))
    (record,) = caplog.records
    assert "kitchen: its channels cancel each other" in record.getMessage()
    assert "--channel" in record.getMessage()


def test_another_number_of_channels_loses_nothing() -> None:
    mixer = Mixer(RATE)
    sizes = [mixer.push(A[:1001, None]), mixer.push(np.stack([A, B], 1)[:777])]
    sizes += [mixer.push(np.stack([A, B, A], 1)[:501]), mixer.push(B[:99, None], last=True)]
    assert sum(map(len, sizes)) == 1001 + 777 + 501 + 99
