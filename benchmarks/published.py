"""The paper's published student as its authors' code runs it: eager PyTorch, no cache.

The checkpoints are `wsntxxn/effb2-trm-audio-captioning` and its sibling of Clotho; the code is
public as `wsntxxn/AudioCaption`. For each token its decoder reads all tokens so far again, and
projects the memory again. Random weights of the published sizes: for speed only.
"""

from __future__ import annotations

import time

import torch

from benchmarks.results import Setting
from benchmarks.subjects import Times
from distill.models.student import END, PAD, START, Student, StudentSpec
from edge.inference.features import Floats, LogMel
from export.published import DEFAULTS, ENCODER, FEATURES, MAX_TOKENS


class Published:
    """Loaded; `Subject` says what it does."""

    rate = FEATURES.sample_rate
    longest_s = 60.0

    def __init__(self, setting: Setting) -> None:
        torch.set_num_threads(int(setting["threads"]))
        torch.manual_seed(0)
        self._beam, self._tokens = int(setting["beam"]), int(setting["tokens"])
        spec = StudentSpec(
            vocabulary=int(DEFAULTS["vocab_size"]),
            encoder=ENCODER,
            max_tokens=max(MAX_TOKENS, self._tokens),
        )
        self._student = Student(spec).eval()
        self._log_mel = LogMel(FEATURES)

    @torch.inference_mode()
    def caption(self, audio: Floats) -> Times:
        """Caption mono `audio` as one window."""
        began = time.perf_counter()
        features = torch.from_numpy(self._log_mel(audio))[None]
        heard = time.perf_counter()
        memory = self._student.encoder(features)
        encoded = time.perf_counter()
        said = self._search(memory)
        ended = time.perf_counter()
        return Times(heard - began, encoded - heard, ended - encoded, ended - began, said.shape[1])

    def _search(self, memory: torch.Tensor) -> torch.Tensor:
        """Sequences of the beams (beam, tokens), none of which ends before the last token."""
        beam = self._beam
        memory = memory.expand(beam, -1, -1)
        said = torch.full((beam, 1), START)
        sums = torch.zeros(beam)
        for position in range(self._tokens):
            logits = self._student.decoder(memory, said)[:, -1]
            logits[:, [PAD, START, END]] = -torch.inf
            totals = sums[:, None] + logits.log_softmax(1)
            rows = totals[:1] if position == 0 else totals  # all beams begin alike
            sums, best = rows.flatten().topk(beam)
            words = totals.shape[1]
            said = torch.cat([said[best // words], (best % words)[:, None]], 1)
        return said[:, 1:]
