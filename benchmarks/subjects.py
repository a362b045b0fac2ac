"""A loaded system: audio to a caption of so many tokens, and the time of each part."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from benchmarks.results import Setting
from benchmarks.systems import System
from edge.errors import AacStreamError, NotInstalledError
from edge.inference.backends import Backend, load_backend
from edge.inference.beam_search import search
from edge.inference.bundle import Bundle, load_bundle
from edge.inference.captioner import Captioner
from edge.inference.features import Floats, LogMel


class NotHereError(AacStreamError):
    """This machine lacks what the system needs, and installing a package would not help."""


@dataclass(frozen=True)
class Times:
    """Seconds that a caption took."""

    features: float
    encoder: float
    decoder: float  # all of its steps; with the search, where that is not ours
    whole: float
    tokens: int


class Subject(Protocol):
    """Every one of them says the same number of tokens with the same beam."""

    rate: int  # Hz, of the audio that it takes
    longest_s: float  # of audio

    def caption(self, audio: Floats) -> Times:
        """Caption mono `audio` as one window."""


class TimedBackend(Backend):
    """A backend, and the seconds that each of its calls took."""

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self.encoder_s: list[float] = []
        self.step_s: list[float] = []

    def encode(self, features: Floats) -> Floats:
        began = time.perf_counter()
        memory = self._inner.encode(features)
        self.encoder_s.append(time.perf_counter() - began)
        return memory

    def start(self) -> Floats:
        return self._inner.start()

    def step(self, tokens: list[int], past: Floats, memory: Floats) -> tuple[Floats, Floats]:
        began = time.perf_counter()
        out = self._inner.step(tokens, past, memory)
        self.step_s.append(time.perf_counter() - began)
        return out


class Student:
    """A student by the code that runs on the device."""

    longest_s = 60.0

    def __init__(self, bundle: Bundle, backend: Backend, setting: Setting) -> None:
        tokens, end = int(setting["tokens"]), bundle.decoder.end
        self._spec = bundle.decoder
        # It cannot end before the last token, which ends every beam.
        self._search = replace(
            bundle.search,
            beam=int(setting["beam"]),
            max_tokens=tokens,
            forbidden=[*bundle.search.forbidden, end],
        )
        self._log_mel = LogMel(bundle.features)
        self._backend = backend
        self.rate = bundle.features.sample_rate

    def caption(self, audio: Floats) -> Times:
        timed = TimedBackend(self._backend)
        began = time.perf_counter()
        features = self._log_mel(audio)
        heard = time.perf_counter()
        search(timed, timed.encode(features), self._spec, self._search)
        ended = time.perf_counter()
        return Times(
            features=heard - began,
            encoder=timed.encoder_s[0],
            decoder=sum(timed.step_s),
            whole=ended - began,
            tokens=len(timed.step_s),
        )


def load_student(system: System, threads: int) -> tuple[Bundle, Backend]:
    """The model of `system`, a bundle or a checkpoint, and what runs it.

    Raises: BundleError; NotInstalledError.
    """
    if system.kind == "bundle":
        bundle = load_bundle(Path(system.path))
        return bundle, load_backend(system.runtime, bundle, threads)
    need("torch", "'aac-stream[torch]'")
    from benchmarks.torch_student import load_torch_student

    return load_torch_student(system, threads)


def load_captioner(system: System, threads: int) -> tuple[Captioner, TimedBackend]:
    """The captioner of `system` as it is on a device, and the times of its parts.

    Raises: BundleError; NotInstalledError.
    """
    bundle, backend = load_student(system, threads)
    timed = TimedBackend(backend)
    return Captioner(bundle, timed), timed


def load_subject(system: System, setting: Setting) -> Subject:
    """`system` in `setting`, with the keys beam, tokens and threads.

    Raises: BundleError; NotInstalledError; NotHereError.
    """
    # What needs PyTorch is imported only for the systems that run on it.
    if system.kind == "published":
        need("torch", "'aac-stream[torch]'")
        from benchmarks.published import Published

        return Published(setting)
    if system.kind == "teacher":
        need("torch", "'aac-stream[htsat]'")
        need("transformers", "'aac-stream[htsat]'")
        from benchmarks.teacher import Teacher

        return Teacher(system, setting)
    return Student(*load_student(system, int(setting["threads"])), setting)


def need(module: str, package: str) -> None:
    """Raises: NotInstalledError if `module` cannot be imported."""
    if find_spec(module) is None:
        raise NotInstalledError(f"{module} is not installed; type: pip install {package}")
