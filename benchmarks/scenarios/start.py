"""Cold start: from the start of a process to its first caption; each round is a new process."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.scenarios.window import noise
from benchmarks.subjects import load_subject
from benchmarks.worker import Job, Samples


def begin(job: Job) -> Callable[[], Samples]:
    """Setting: as of `window`."""
    subject = load_subject(job.system, job.setting)
    subject.caption(noise(subject.rate, job.setting["window_s"]))
    taken = time.time() - job.spawned
    return lambda: {"cold_start_s": [taken]}
