"""Noise of a given colour, and silence cut from the ends of a recording."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from distill.captions.writer import load_wordings
from distill.scenes.noise import NOISES, RATE, shaped_noise, trim


@pytest.mark.parametrize(("exponent", "octave_db"), [(0.0, 0.0), (1.0, 3.0), (2.0, 6.0)])
def test_noise_falls_as_it_should(exponent: float, octave_db: float) -> None:
    noise = shaped_noise(np.random.default_rng(0), 10 * RATE, exponent)
    assert np.sqrt(np.mean(noise**2)) == pytest.approx(1.0, abs=1e-3)
    power = np.abs(np.fft.rfft(noise)) ** 2
    freqs = np.fft.rfftfreq(len(noise), 1 / RATE)
    octaves = [power[(freqs >= f) & (freqs < 2 * f)].mean() for f in (100, 400, 1600)]
    for low, high in itertools.pairwise(octaves):  # two octaves apart
        assert 10 * math.log10(low / high) == pytest.approx(2 * octave_db, abs=1.0)


def test_what_is_below_hearing_does_not_take_all_the_power() -> None:
    noise = shaped_noise(np.random.default_rng(1), 10 * RATE, 2.0)
    power = np.abs(np.fft.rfft(noise)) ** 2
    freqs = np.fft.rfftfreq(len(noise), 1 / RATE)
    assert power[freqs < 10].sum() < 0.5 * power.sum()


def test_every_noise_that_is_made_has_its_words() -> None:
    assert set(NOISES) <= set(load_wordings().labels)


def test_silence_around_a_sound_is_cut() -> None:
    audio = np.zeros(3 * RATE, np.int16)
    audio[RATE : 2 * RATE] = 5000
    assert len(trim(audio)) == pytest.approx(RATE, abs=RATE // 25)
    assert trim(audio).mean() > 4800  # and it is the sound that is left


def test_a_pause_within_a_sound_stays_and_so_does_what_is_silent_or_short() -> None:
    audio = np.zeros(3 * RATE, np.int16)
    audio[: RATE // 2] = audio[-RATE // 2 :] = 5000
    assert len(trim(audio)) == len(audio)
    silence = np.zeros(RATE, np.int16)
    assert len(trim(silence)) == RATE
    assert len(trim(np.full(5, 9, np.int16))) == 5
    faint = audio.copy()
    faint[: RATE // 2] = 40  # 42 dB below
    assert len(trim(faint)) == RATE // 2
