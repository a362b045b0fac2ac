"""Near-duplicates by audio fingerprints: the same recording at another level, rate or encoding.

Haitsma and Kalker, *A Highly Robust Audio Fingerprinting System*, ISMIR 2002: each frame gives 32
bits, the signs of the differences of band energies across bands and time; equal frames propose an
alignment of two clips, and the share of differing bits there decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from distill.corpus.cutting import RATE
from edge.inference.features import Floats

BANDS = 33  # logarithmic, 200 to 7,000 Hz: what every source in the corpus has
WINDOW = 4096  # 128 ms
HOP = 512  # 16 ms
SAME_BITS = 0.20  # two clips whose bits differ in a smaller share hold the same recording
COMMON = 40  # frames that occur more often than this (steady tones) propose nothing
MASKS = tuple(np.uint32(0xFFFFFFFF ^ (0xFF << shift)) for shift in (0, 8, 16, 24))
VOTES = 2  # A frame that is equal under one mask is chance; two, or one under all, are not.
LONGEST = 1 << 12  # Frames; longer than any clip.
OVERLAP = 0.7  # Share of the shorter clip's frames that must lie within the longer one, or ...
ENOUGH = 188  # ... frames (3 s): long recordings may be cut at other places.
Bits = NDArray[np.uint32]


def fingerprint(audio: Floats) -> Bits:
    """32 bits for each 16 ms of `audio` (mono, at `RATE`)."""
    audio = np.pad(audio, (WINDOW // 2, WINDOW // 2 + HOP))
    frames = np.lib.stride_tricks.sliding_window_view(audio, WINDOW)[::HOP]
    # In double precision NumPy's FFT is twice as fast.
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW), axis=1)) ** 2
    edges = np.geomspace(200.0, 7000.0, BANDS + 1) * WINDOW / RATE
    energy = np.add.reduceat(power, edges.astype(int), axis=1)[:, :BANDS]
    log = np.log(energy + 1e-9)
    across = log[:, :-1] - log[:, 1:]
    bits = (across[1:] - across[:-1]) > 0.0
    weights = np.left_shift(np.uint32(1), np.arange(BANDS - 1, dtype=np.uint32))
    return (bits * weights).sum(axis=1).astype(np.uint32)


def near_duplicates(prints: Sequence[Bits]) -> list[tuple[int, int]]:
    """Find the clips that hold the same recording.

    Parameters
    ----------
    prints : sequence of Bits
        A fingerprint for each clip.

    Returns
    -------
    list of (int, int)
        Pairs (i, j) of indices, i < j.
    """
    found = [
        pair
        for pair, shifts in _alignments(prints).items()
        if any(_differing(prints[pair[0]], prints[pair[1]], shift) < SAME_BITS for shift in shifts)
    ]
    return sorted(found)


def _alignments(prints: Sequence[Bits]) -> dict[tuple[int, int], list[int]]:
    """Return the shifts at which frames of two clips are alike, by pair of clips.

    Frames are compared under each of `MASKS`: lossy encodings change some bits of most frames, so
    that equal ones are rare.
    """
    values = np.concatenate([np.zeros(0, np.uint32), *prints])
    clips = np.repeat(np.arange(len(prints)), [len(p) for p in prints])
    frames = np.concatenate([np.zeros(0, int), *(np.arange(len(p)) for p in prints)])
    keys = [np.zeros(0, int)]
    for mask in MASKS:
        masked = values & mask
        order = np.argsort(masked, kind="stable")  # Within equal values the clips ascend.
        keys += _equal(masked[order], clips[order], frames[order], len(prints))
    votes, counts = np.unique(np.concatenate(keys), return_counts=True)
    likely = votes[counts >= VOTES]
    pairs, shifts = likely // (2 * LONGEST), likely % (2 * LONGEST) - LONGEST
    found: dict[tuple[int, int], list[int]] = defaultdict(list)
    for pair, shift in zip(pairs.tolist(), shifts.tolist(), strict=True):
        found[divmod(pair, len(prints))].append(shift)
    return found


def _equal(
    values: Bits, clips: NDArray[np.int64], frames: NDArray[np.int64], count: int
) -> list[NDArray[np.int64]]:
    """Return a key (clip, other clip, shift) for each two equal frames of different clips.

    `values` are sorted; `count` is the number of clips.
    """
    bounds = np.flatnonzero(np.diff(values)) + 1
    sizes = np.diff(np.concatenate([[0], bounds, [len(values)]]))
    in_group = np.repeat(sizes, sizes)
    usable = np.flatnonzero((in_group > 1) & (in_group <= COMMON))
    values, clips, frames = values[usable], clips[usable], frames[usable]
    keys = []
    for step in range(1, COMMON):  # Each frame with the one `step` places further in its group.
        same = (values[:-step] == values[step:]) & (clips[:-step] != clips[step:])
        one = np.flatnonzero(same)
        shift = frames[one] - frames[one + step] + LONGEST
        keys.append((clips[one] * count + clips[one + step]) * (2 * LONGEST) + shift)
    return keys


def _differing(one: Bits, two: Bits, shift: int) -> float:
    """Share of differing bits where `two`, moved by `shift`, is over `one`; 1 if it barely is."""
    start, end = max(0, shift), min(len(one), len(two) + shift)
    if end - start < min(OVERLAP * min(len(one), len(two)), ENOUGH):
        return 1.0
    differ = one[start:end] ^ two[start - shift : end - shift]
    return float(np.unpackbits(differ.view(np.uint8)).mean())
