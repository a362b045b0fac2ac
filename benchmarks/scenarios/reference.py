"""A computation that no change of ours touches: how fast the machine is at the moment."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from benchmarks.worker import Job, Samples

SIZE, REPEATS = 384, 15


def begin(_: Job) -> Callable[[], Samples]:
    """Products of matrices and Fourier transforms, as encoders and features have them."""
    values = np.random.default_rng(0).standard_normal((SIZE, SIZE)).astype(np.float32)

    def run() -> float:
        began = time.perf_counter()
        np.fft.rfft(values @ values @ values, axis=1)
        return 1e3 * (time.perf_counter() - began)

    run()
    return lambda: {"reference_ms": [run() for _ in range(REPEATS)]}
