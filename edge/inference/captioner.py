"""Turn the features of one window into a caption."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.config import StreamConfig
from edge.errors import ModelError
from edge.inference.backends import Backend, load_backend
from edge.inference.beam_search import Hypothesis, search
from edge.inference.bundle import Bundle, default_bundle, load_bundle
from edge.inference.features import FeatureSpec, Floats, LogMel, check_samples, level_db
from edge.streaming.activity_gate import loud_db

MIN_FRAMES = 96  # Shortest input of the model in frames (about 1 s); silence pads shorter windows.


@dataclass(frozen=True)
class Description:
    """The caption of a window."""

    text: str
    confidence: float  # Geometric mean of the tokens' probabilities.
    quiet: bool  # True if the level is below the limit, or the model's caption means silence.


class Captioner:
    """A loaded model that several threads can share; a lock lets one run it at a time."""

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        self.bundle, self._backend = bundle, backend
        self._lock = threading.Lock()

    def hypothesis(self, features: Floats) -> Hypothesis:
        """Return the tokens that the beam search finds for `features` (frames, mels).

        Raises
        ------
        ModelError
            The model gives NaN or infinity, or allows no token.
        """
        try:
            with self._lock:
                memory = self._backend.encode(_at_least(features, MIN_FRAMES, self.bundle.features))
                return search(self._backend, memory, self.bundle.decoder, self.bundle.search)
        except ModelError as error:
            raise ModelError(
                f"model {self.bundle.name!r}: {error}; use another --bundle or --backend"
            ) from None

    def describe(self, features: Floats) -> Description:
        """Caption `features` (frames, mels) without a check of their level.

        Raises
        ------
        ModelError
            The model gives NaN or infinity, or allows no token.
        """
        best = self.hypothesis(features)
        text = self.bundle.text(best.tokens)
        return Description(text, float(np.exp(best.score)), text in self.bundle.quiet_captions)

    def describe_audio(
        self, samples: NDArray[np.floating[Any]], quiet_db: float = StreamConfig.quiet_db
    ) -> Description:
        """Caption audio as one window.

        Parameters
        ----------
        samples : shape = (samples,)
            Mono audio at the model's rate; full scale is 1.
        quiet_db
            Level in dB re full scale. If the window is below it, the text is empty and the model
            does not run. `aac-stream` uses the same rule and the same default.

        Returns
        -------
        Description
            The caption and its confidence.

        Raises
        ------
        ValueError
            `samples` have another type or shape, are not finite, or are too short.
        ModelError
            The model gives NaN or infinity, or allows no token.
        """
        spec = self.bundle.features
        features = LogMel(spec)(check_samples(samples, spec))
        if loud_db(level_db(features, spec)) < quiet_db:
            return Description("", 1.0, True)
        return self.describe(features)


def load_captioner(
    folder: Path | None = None, threads: int = 1, backend: str = "onnx", beam: int | None = None
) -> Captioner:
    """Load the model in `folder` and return its captioner.

    Parameters
    ----------
    folder
        Folder of the model bundle; None is the default bundle.
    threads
        Number of threads of the runtime.
    backend
        Name of the runtime, a key of `edge.inference.backends.RUNTIMES`.
    beam
        Number of beams; None keeps the bundle's own.

    Raises
    ------
    BundleError
        The bundle is not valid, the backend is not installed, or it cannot run the graphs.
    """
    bundle = load_bundle(folder or default_bundle())
    if beam is not None:
        bundle = replace(bundle, search=replace(bundle.search, beam=beam))
    return Captioner(bundle, load_backend(backend, bundle, threads))


def _at_least(features: Floats, frames: int, spec: FeatureSpec) -> Floats:
    """Return `features`, padded at the end with digital silence to at least `frames` frames."""
    silence = (10.0 * np.log10(spec.floor) - spec.mean) / spec.std
    short = max(0, frames - len(features))
    return np.pad(features, ((0, short), (0, 0)), constant_values=silence)
