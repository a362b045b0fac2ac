"""What of a sound can be heard in a mixture, and when."""

from __future__ import annotations

import numpy as np

from edge.inference.features import Floats

BLOCK_S = 0.02
BANDS = 24
LOUD_SHARE = 0.2  # the loudest blocks, which make up the level of a sound
# A block is heard if in some band it stands out by so much: below that, it is masked.
MARGIN_DB = -3.0
FLOOR_DB = -35.0  # re the sound's own loud parts: its decay is silence from here on
BRIDGE_S = 0.3  # pauses within one sound
SHORTEST_S = 0.06
HEARD_SHARE = 0.3  # of a sound's own time that must be heard, or it is not there
PASSED_SHARE = 0.01  # of a sound's power that a microphone must let through, or it is not there


def level_db(audio: Floats, rate: int = 32_000) -> float:
    """Level of the loud parts of `audio`, in dB re an RMS of 1."""
    size = int(BLOCK_S * rate)
    power = np.sort((audio[: len(audio) // size * size].reshape(-1, size) ** 2).mean(axis=1))
    loud = power[-max(1, int(LOUD_SHARE * np.count_nonzero(power > 1e-12))) :]
    return float(10.0 * np.log10(loud.mean() + 1e-12))


def audible_times(own: Floats, other: Floats) -> tuple[tuple[float, float], ...]:
    """Start and end, in seconds, of each time that a sound is heard over others.

    Both as `band_power` gives them. None if most of it is masked. Pauses shorter than `BRIDGE_S`
    are bridged.
    """
    total = own.sum(axis=1)
    loud = np.sort(total)[-max(1, int(LOUD_SHARE * np.count_nonzero(total > 1e-12))) :].mean()
    sounds = total > loud * 10.0 ** (FLOOR_DB / 10.0)
    # Only bands that carry the sound: elsewhere a whisper of leakage would count.
    carries = own > 0.02 * total[:, None]
    clear = (carries & (own > other * 10.0 ** (MARGIN_DB / 10.0))).any(axis=1)
    heard = sounds & clear
    if not sounds.any() or heard.sum() < HEARD_SHARE * sounds.sum():
        return ()
    spans = _bridged(heard)
    return tuple(
        (round(start * BLOCK_S, 2), round(end * BLOCK_S, 2))
        for start, end in spans
        if (end - start) * BLOCK_S >= SHORTEST_S
    )


def _bridged(heard: np.ndarray) -> list[tuple[int, int]]:
    """Runs of blocks, joined over short pauses."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], heard.astype(np.int8), [0]])))
    spans: list[tuple[int, int]] = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if spans and (start - spans[-1][1]) * BLOCK_S < BRIDGE_S:
            spans[-1] = (spans[-1][0], int(end))
        else:
            spans.append((int(start), int(end)))
    return spans


def passes(own: Floats, gains: Floats) -> bool:
    """Return True if enough of a sound gets through a microphone with these gains per band."""
    return bool((own * gains).sum() >= PASSED_SHARE * own.sum())


def band_power(audio: Floats, rate: int) -> Floats:
    """Power in logarithmic bands from 80 Hz up; shape = (blocks, bands), at most `BANDS`."""
    size = int(BLOCK_S * rate)
    blocks = audio[: len(audio) // size * size].reshape(-1, size)
    power = np.abs(np.fft.rfft(blocks, axis=1)) ** 2
    return np.asarray(np.add.reduceat(power, _edges(rate)[:-1], axis=1), np.float32)


def band_centres(rate: int) -> Floats:
    """Return the centre of each band of `band_power` in Hz."""
    edges = _edges(rate) / BLOCK_S
    return np.asarray(0.5 * (edges[:-1] + edges[1:]), np.float32)


def a_weights(freqs: Floats) -> Floats:
    """Return the A-weighting (IEC 61672) of power at `freqs` in Hz: ears hear rumble least."""
    f2 = np.asarray(freqs, np.float64) ** 2
    low = (f2 + 107.7**2) * (f2 + 737.9**2)
    amplitude = 1.2589 * 12194.0**2 * f2**2 / ((f2 + 20.6**2) * np.sqrt(low) * (f2 + 12194.0**2))
    return np.asarray(amplitude**2, np.float32)


def _edges(rate: int) -> np.ndarray:
    """Return the first bin of each band, and the end of the last."""
    size = int(BLOCK_S * rate)
    return np.unique(np.geomspace(80.0, rate / 2, BANDS + 1) * size / rate // 1).astype(int)
