"""Near-duplicates by audio fingerprints: the same recording at another level, rate or encoding.

Haitsma and Kalker, *A Highly Robust Audio Fingerprinting System*, ISMIR 2002: each frame gives 32
bits, the signs of the differences of band energies across bands and time; equal frames propose an
alignment of two clips, and the share of differing bits there decides.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from distill.corpus.cutting import RATE
from edge.features import Floats

BANDS = 33  # logarithmic, 200 to 7,000 Hz: what every source in the corpus has
WINDOW = 4096  # 128 ms
HOP = 512  # 16 ms
SAME_BITS = 0.20  # two clips whose bits differ in a smaller share hold the same recording
COMMON = 40  # frames that occur more often than this (steady tones) propose nothing
OVERLAP = 0.7  # of the shorter clip's frames that must lie within the longer one
Bits = NDArray[np.uint32]


def fingerprint(audio: Floats) -> Bits:
    """32 bits for each 16 ms of `audio` (mono, at `RATE`)."""
    audio = np.pad(audio, (WINDOW // 2, WINDOW // 2 + HOP))
    frames = np.lib.stride_tricks.sliding_window_view(audio, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW).astype(np.float32), axis=1)) ** 2
    edges = np.geomspace(200.0, 7000.0, BANDS + 1) * WINDOW / RATE
    energy = np.add.reduceat(power, edges.astype(int), axis=1)[:, :BANDS]
    log = np.log(energy + 1e-9)
    across = log[:, :-1] - log[:, 1:]
    bits = (across[1:] - across[:-1]) > 0.0
    weights = np.left_shift(np.uint32(1), np.arange(BANDS - 1, dtype=np.uint32))
    return (bits * weights).sum(axis=1).astype(np.uint32)


def near_duplicates(prints: list[Bits]) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of clips that hold the same recording."""
    values = np.concatenate([np.zeros(0, np.uint32), *prints])
    clips = np.repeat(np.arange(len(prints)), [len(p) for p in prints])
    frames = np.concatenate([np.zeros(0, int), *(np.arange(len(p)) for p in prints)])
    order = np.argsort(values, kind="stable")
    bounds = np.flatnonzero(np.diff(values[order])) + 1
    votes: dict[tuple[int, int], set[int]] = defaultdict(set)
    for group in np.split(order, bounds):
        if not 1 < len(group) <= COMMON:
            continue
        for n, a in enumerate(group):
            for b in group[n + 1 :]:
                if clips[a] != clips[b]:
                    i, j = sorted((a, b), key=lambda k: clips[k])
                    votes[int(clips[i]), int(clips[j])].add(int(frames[i] - frames[j]))
    return sorted(
        pair
        for pair, shifts in votes.items()
        if any(_differing(prints[pair[0]], prints[pair[1]], shift) < SAME_BITS for shift in shifts)
    )


def _differing(one: Bits, two: Bits, shift: int) -> float:
    """Share of differing bits where `two`, moved by `shift`, is over `one`; 1 if it barely is."""
    start, end = max(0, shift), min(len(one), len(two) + shift)
    if end - start < OVERLAP * min(len(one), len(two)):
        return 1.0
    differ = one[start:end] ^ two[start - shift : end - shift]
    return float(np.unpackbits(differ.view(np.uint8)).mean())
