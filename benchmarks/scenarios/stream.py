"""The loop over a recording as fast as it goes: real-time factor, and where the time goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.subjects import TimedBackend, load_captioner
from benchmarks.worker import Job, Samples
from edge.audio.file import FileSource
from edge.audio.resampler import Resampler
from edge.config import StreamConfig
from edge.inference.bundle import Bundle
from edge.inference.captioner import Captioner, Description
from edge.inference.feature_buffer import feature_buffer
from edge.inference.features import Floats
from edge.streaming.pipeline import StreamingCaptioner


class _TimedCaptioner(Captioner):
    """Adds up the seconds that captions take."""

    spent_s = 0.0

    def describe(self, features: Floats) -> Description:
        began = time.perf_counter()
        found = super().describe(features)
        self.spent_s += time.perf_counter() - began
        return found


def begin(job: Job) -> Callable[[], Samples]:
    """Setting: hop_s, threads."""
    captioner, timed = load_captioner(job.system, int(job.setting["threads"]))
    recording, hop_s = Path(job.options.recording), job.setting["hop_s"]
    _round(captioner.bundle, timed, recording, hop_s)
    return lambda: _round(captioner.bundle, timed, recording, hop_s)


def _round(bundle: Bundle, timed: TimedBackend, recording: Path, hop_s: float) -> Samples:
    timed.encoder_s.clear()
    timed.step_s.clear()
    captioner = _TimedCaptioner(bundle, timed)
    source = FileSource(recording, fast=True)
    loop = StreamingCaptioner(source, captioner, StreamConfig(fast=True, hop_s=hop_s))
    for _ in loop.captions():
        pass
    source.close()
    stats = loop.stats
    features_s = _features_s(bundle, recording)
    encoder_s, decoder_s = sum(timed.encoder_s), sum(timed.step_s)
    parts = {
        "loop_ms": stats.busy_s,
        "loop_features_ms": features_s,
        "loop_encoder_ms": encoder_s,
        "loop_decoder_ms": decoder_s,
        "loop_search_ms": captioner.spent_s - encoder_s - decoder_s,
        "loop_rest_ms": stats.busy_s - features_s - captioner.spent_s,
    }
    per_window: Samples = {name: [1e3 * value / stats.windows] for name, value in parts.items()}
    tokens = len(timed.step_s) / stats.windows
    return {"rtf": [stats.rtf], "loop_tokens": [tokens], **per_window}


def _features_s(bundle: Bundle, recording: Path) -> float:
    """What the same audio in the same blocks takes to resample and to turn into frames."""
    source, spent = FileSource(recording, fast=True), 0.0
    resampler = Resampler(source.rate, bundle.features.sample_rate)
    frames = feature_buffer(bundle.features)
    last = np.zeros((0, 1), np.float32)
    for samples in [*(block.samples for block in source.blocks()), last]:
        began = time.perf_counter()
        frames.push(resampler.push(samples, samples is last))
        spent += time.perf_counter() - began
        frames.forget(frames.heard - 1)
    source.close()
    return spent
