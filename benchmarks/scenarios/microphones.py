"""So many microphones at once on one box, in real time: does it keep up?"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.machine import cores
from benchmarks.subjects import load_captioner
from benchmarks.worker import Job, Samples
from edge.audio.file import FileSource
from edge.audio.ring_buffer import Block
from edge.config import StreamConfig
from edge.inference.captioner import Captioner
from edge.inference.features import Floats
from edge.streaming.pipeline import Stats, StreamingCaptioner

BLOCK_S = 0.1  # of audio that a microphone hands over at once


@dataclass
class _Microphone:
    """The recording over and over, on the clock."""

    samples: Floats  # (samples, channels)
    rate: int
    starts: float  # time.monotonic() at which it begins
    ends: float
    name = "microphone"
    lossless = False

    def blocks(self) -> Iterator[Block]:
        done = 0
        while time.monotonic() < self.ends:
            time.sleep(BLOCK_S)
            due = int((time.monotonic() - self.starts) * self.rate) - done
            if due <= 0:
                continue
            places = np.arange(done, done + due) % len(self.samples)
            done += due
            yield Block(self.samples[places])

    def close(self) -> None:
        pass


def begin(job: Job) -> Callable[[], Samples]:
    """Setting: microphones. One model a core; a loop with a hop of 1 s for each microphone."""
    models = [load_captioner(job.system, threads=1)[0] for _ in range(cores())]
    source = FileSource(Path(job.options.recording), fast=True)
    samples = np.concatenate([block.samples for block in source.blocks()])
    source.close()
    count, seconds = int(job.setting["microphones"]), job.options.microphones_s
    return lambda: _round(models, samples, source.rate, count, seconds)


def _round(
    models: list[Captioner], samples: Floats, rate: int, count: int, seconds: float
) -> Samples:
    config = StreamConfig()
    began, worked = time.monotonic(), time.process_time()
    rng, stats, threads = random.Random(0), [], []
    for number in range(count):
        # No two microphones are in step.
        starts = began + rng.uniform(0.0, config.hop_s)
        source = _Microphone(samples, rate, starts, starts + config.window_s + seconds)
        loop = StreamingCaptioner(source, models[number % len(models)], config)
        stats.append(loop.stats)
        threads.append(threading.Thread(target=_listen, args=(loop,), daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _samples(stats, (time.process_time() - worked) / (time.monotonic() - began))


def _listen(loop: StreamingCaptioner) -> None:
    for _ in loop.captions():
        pass


def _samples(stats: list[Stats], cpu_share: float) -> Samples:
    skipped = sum(one.skipped_windows for one in stats)
    windows = skipped + sum(one.windows for one in stats)
    return {"skipped_share": [skipped / windows], "cpu_share": [cpu_share]}
