"""One window: audio to a caption of a fixed number of tokens."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from benchmarks.subjects import NotHereError, Subject, load_subject
from benchmarks.worker import Job, Samples
from edge.inference.features import Floats

ROUND_S = 0.5  # captions are repeated for so long in a round
FEWEST, MOST = 2, 40  # of them


def begin(job: Job) -> Callable[[], Samples]:
    """Setting: window_s, beam, tokens, threads."""
    subject = load_subject(job.system, job.setting)
    window_s = job.setting["window_s"]
    if window_s > subject.longest_s:
        raise NotHereError(f"it hears at most {subject.longest_s:g} s")
    audio = noise(subject.rate, window_s)
    for _ in range(3):  # some compile as they go, or size their memory
        subject.caption(audio)
    return lambda: _round(subject, audio)


def noise(rate: int, seconds: float) -> Floats:
    """What is heard changes nothing where the number of tokens is fixed."""
    samples = np.random.default_rng(0).standard_normal(round(rate * seconds), np.float32)
    return np.float32(0.1) * samples


def _round(subject: Subject, audio: Floats) -> Samples:
    found: Samples = {"features_ms": [], "encoder_ms": [], "token_ms": [], "whole_ms": []}
    began = time.perf_counter()
    for done in range(MOST):
        if done >= FEWEST and time.perf_counter() - began > ROUND_S:
            break
        times = subject.caption(audio)
        found["features_ms"].append(1e3 * times.features)
        found["encoder_ms"].append(1e3 * times.encoder)
        found["token_ms"].append(1e3 * times.decoder / times.tokens)
        found["whole_ms"].append(1e3 * times.whole)
    return found
