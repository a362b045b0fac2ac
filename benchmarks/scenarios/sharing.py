"""Would windows that share the encoder's work still say the same? The loop does not share it."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from benchmarks.scenarios.track import measured, scenes_of
from benchmarks.subjects import load_captioner
from benchmarks.worker import Job, Samples
from edge.config import StreamConfig
from edge.inference.beam_search import Hypothesis, search
from edge.inference.captioner import Captioner
from edge.inference.features import Floats
from edge.streaming.event_tracker import EventTrackerSpec

STRIDE = 32  # frames of features to one column of the encoder's memory
EDGE = 2  # columns at the start of what is encoded, which lack what was before: not used
# Multiples of the stride, so that columns of one window lie where those of the next do.
WINDOW, HOP = 16 * STRIDE, 3 * STRIDE


class _Sharing(Captioner):
    """Encodes the newest frames of a window alone; the other columns are of windows before."""

    def __init__(self, captioner: Captioner, encoded: int) -> None:
        """`encoded`: frames at the end of each window that are."""
        super().__init__(captioner.bundle, captioner._backend)
        self._encoded = encoded
        self._before: tuple[Floats, Floats] | None = None  # features and memory of the last window
        self.took_s: list[float] = []  # for encoding each window

    def hypothesis(self, features: Floats) -> Hypothesis:
        began = time.perf_counter()
        memory = self._memory(features)
        self.took_s.append(time.perf_counter() - began)
        self._before = features, memory
        return search(self._backend, memory, self.bundle.decoder, self.bundle.search)

    def _memory(self, features: Floats) -> Floats:
        if self._before is None or self._encoded >= len(features):
            return self._backend.encode(features)
        heard, kept = self._before
        if not np.array_equal(heard[HOP:], features[: len(heard) - HOP]):
            return self._backend.encode(features)  # another scene, or it was quiet in between
        new = self._backend.encode(features[-self._encoded :])[:, :, :, EDGE:]
        older = len(features) // STRIDE - new.shape[3]
        old = kept[:, :, :, HOP // STRIDE : HOP // STRIDE + older]
        return np.concatenate([old, new], axis=3)


def begin(job: Job) -> Callable[[], Samples]:
    """Setting: encoded_s, of each window. Scenes as of `track`."""
    captioner, _ = load_captioner(job.system, threads=1)
    spec = captioner.bundle.features
    scenes = scenes_of(job.options, spec.sample_rate)
    seconds = spec.hop / spec.sample_rate
    config = StreamConfig(window_s=WINDOW * seconds, hop_s=HOP * seconds)
    encoded = round(job.setting["encoded_s"] / seconds / STRIDE) * STRIDE

    def measure() -> Samples:
        sharing = _Sharing(captioner, encoded)
        found = measured(sharing, scenes, config, EventTrackerSpec())
        return {**found, "encoder_ms": [1e3 * took for took in sharing.took_s]}

    return measure
