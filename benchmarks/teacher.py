"""The paper's teacher, HTSAT + BART-base, at its sizes with random weights: for speed only."""

from __future__ import annotations

import time

import torch

from benchmarks.results import Setting
from benchmarks.subjects import NotHereError, Times
from benchmarks.systems import System
from distill.teachers.htsat_bart import random_htsat_bart
from edge.inference.features import Floats


class Teacher:
    """Loaded on the CPU or a GPU; `Subject` says what it does."""

    def __init__(self, system: System, setting: Setting) -> None:
        if system.device == "cuda" and not torch.cuda.is_available():
            raise NotHereError("no GPU that PyTorch can use")
        torch.set_num_threads(int(setting["threads"]))
        self._device = torch.device(system.device)
        self._beam, self._tokens = int(setting["beam"]), int(setting["tokens"])
        self._model = random_htsat_bart().to(self._device)
        self.rate, self.longest_s = self._model.sample_rate, self._model.longest_s

    @torch.inference_mode()
    def caption(self, audio: Floats) -> Times:
        """Caption mono `audio` as one window, which the model fills to 10 s if it is shorter."""
        began = self._now()
        sound = torch.from_numpy(audio)[None].to(self._device)
        features = self._model.log_mel(sound)
        heard = self._now()
        memory = self._model.encoder(features).last_hidden_state.mean(2).mT
        encoded = self._now()
        said = self._model.generate(memory, self._beam, self._tokens, self._tokens)
        ended = self._now()
        return Times(heard - began, encoded - heard, ended - encoded, ended - began, said.shape[1])

    def _now(self) -> float:
        """The time once the device has done all that it was given."""
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()
