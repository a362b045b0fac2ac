"""From a recording of any length to clips of at most 10 s, without those that are of no use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.inference.features import Floats

RATE = 32_000  # Hz
LONGEST_S = 10.0
SHORTEST_S = 0.15
MOST_EXCERPTS = 12  # of one recording, spread evenly over it
BLOCK = RATE // 50  # 20 ms
SILENT_DB = -60.0  # re full scale, of the loudest tenth of a clip's blocks
SOUND_DB = -45.0  # re the loudest block: below it a recording's ends are cut off
# A sample at full scale is a peak; several side by side are a flat top.
CLIPPED_RUN = 4
CLIPPED_SHARE = 0.002


@dataclass(frozen=True)
class Excerpt:
    """A piece of a recording."""

    start_s: float
    audio: Floats  # mono at `RATE`


def cut(audio: Floats, most: int = MOST_EXCERPTS) -> list[Excerpt]:
    """The excerpts to take of `audio` (mono, `RATE`), in order and at most `most`.

    A recording of up to 10 s is one clip, without the silence around it.
    """
    first, last = _sounding(audio)
    size = int(LONGEST_S * RATE)
    if last - first <= size:
        return [Excerpt(first / RATE, audio[first:last])]
    # As many as do not overlap: where they did they would repeat each other.
    count = min(most, (last - first) // size)
    starts = np.linspace(first, last - size, count).astype(int)
    return [Excerpt(float(start / RATE), audio[start : start + size]) for start in starts]


def fault(audio: Floats) -> str:
    """Why a clip is of no use: "too short", "silent", "clipped" or "not finite"; else ""."""
    if not np.isfinite(audio).all():
        return "not finite"
    if len(audio) < SHORTEST_S * RATE:
        return "too short"
    power = np.sort(_block_power(audio))
    if 10.0 * np.log10(power[-max(1, len(power) // 10) :].mean() + 1e-12) < SILENT_DB:
        return "silent"
    if _clipped_share(audio) > CLIPPED_SHARE:
        return "clipped"
    return ""


def _clipped_share(audio: Floats) -> float:
    """Share of samples in flat tops: runs of `CLIPPED_RUN` or more at the largest value."""
    peak = np.abs(audio).max(initial=0.0)
    if peak < 0.5:  # scaled down after it was clipped, perhaps; then it is still faint
        return 0.0
    at_top = np.abs(audio) >= 0.999 * peak
    edges = np.flatnonzero(np.diff(np.concatenate([[0], at_top.astype(np.int8), [0]])))
    runs = edges[1::2] - edges[::2]
    return float(runs[runs >= CLIPPED_RUN].sum() / len(audio))


def _block_power(audio: Floats) -> Floats:
    blocks = audio[: max(1, len(audio) // BLOCK) * BLOCK].reshape(-1, min(BLOCK, len(audio)))
    return np.asarray((blocks**2).mean(axis=1), np.float32)


def _sounding(audio: Floats) -> tuple[int, int]:
    """Where the sound starts and ends, in samples."""
    if not len(audio):
        return 0, 0
    power = _block_power(audio)
    loud = np.flatnonzero(power > power.max() * 10.0 ** (SOUND_DB / 10.0))
    if not len(loud):
        return 0, len(audio)
    last = int(loud[-1]) + 1
    return int(loud[0]) * BLOCK, len(audio) if last == len(power) else last * BLOCK
