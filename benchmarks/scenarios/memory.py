"""Resident memory: the peak, and what a thousand windows add."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.scenarios.window import noise
from benchmarks.subjects import load_captioner, load_subject
from benchmarks.worker import Job, Samples
from edge.audio.clip import read_clip

SETTLED, WINDOWS = 100, 1000
PLACES = 64  # of the recording that are heard
FEW = 5  # windows of systems that take seconds for each


def begin(job: Job) -> Callable[[], Samples]:
    """Setting: as of `window`; students hear the recording, the others noise."""
    if not job.system.captions:
        subject = load_subject(job.system, job.setting)
        for _ in range(FEW):
            subject.caption(noise(subject.rate, job.setting["window_s"]))
        return lambda: {"peak_mb": [peak_mb()]}
    captioner, _ = load_captioner(job.system, threads=1)
    rate = captioner.bundle.features.sample_rate
    audio = read_clip(Path(job.options.recording), rate)
    length = int(job.setting["window_s"] * rate)
    starts = np.random.default_rng(0).integers(0, max(1, len(audio) - length), PLACES)
    windows = [audio[start : start + length] for start in starts]

    def hear(count: int) -> None:
        for number in range(count):
            captioner.describe_audio(windows[number % len(windows)])

    def measure() -> Samples:
        hear(SETTLED)
        before = resident_mb()
        hear(WINDOWS)
        grown = {} if before is None else {"growth_mb": [(resident_mb() or 0.0) - before]}
        return {"peak_mb": [peak_mb()], **grown}

    return measure


def resident_mb() -> float | None:
    """What the process holds now; None where the system does not say."""
    return _status("VmRSS")


def held_mb() -> float | None:
    """As `resident_mb`, less what is free and kept by the allocator for later, where it is glibc's.

    That part goes up and down by tens of MB with the sizes of blocks, and would hide a leak.
    """
    gc.collect()
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    return resident_mb()


def peak_mb() -> float:
    """The most that it has held."""
    peak = _status("VmHWM")
    if peak is None:  # not on Linux
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    return peak


def _status(key: str) -> float | None:
    # getrusage would count what the parent held as it started us.
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next(float(ln.split()[1]) * 1024 / 1e6 for ln in lines if ln.startswith(f"{key}:"))
