"""From the features of one window to a sentence."""

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

MIN_FRAMES = 96  # about 1 s; a shorter sound is set in silence


@dataclass(frozen=True)
class Description:
    """What was heard in a window."""

    text: str
    confidence: float  # geometric mean of the tokens' probabilities
    quiet: bool  # nothing sounds: the window is quiet, or the model says so


class Captioner:
    """A loaded model. Threads that share it take turns."""

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        self.bundle, self._backend = bundle, backend
        self._turn = threading.Lock()

    def hypothesis(self, features: Floats) -> Hypothesis:
        """Return the tokens that the search of the bundle finds for `features` (frames, mels).

        Raises
        ------
        ModelError
            The model gives values that are no numbers.
        """
        try:
            with self._turn:
                memory = self._backend.encode(_at_least(features, MIN_FRAMES, self.bundle.features))
                return search(self._backend, memory, self.bundle.decoder, self.bundle.search)
        except ModelError as error:
            raise ModelError(
                f"model {self.bundle.name!r}: {error}; use another --bundle or --backend"
            ) from None

    def describe(self, features: Floats) -> Description:
        """Caption `features` (frames, mels), however quiet they are.

        Raises: ModelError.
        """
        found = self.hypothesis(features)
        text = self.bundle.text(found.tokens)
        return Description(text, float(np.exp(found.score)), text in self.bundle.quiet_captions)

    def describe_audio(
        self, samples: NDArray[np.floating[Any]], quiet_db: float = StreamConfig.quiet_db
    ) -> Description:
        """Caption audio as one window.

        Parameters
        ----------
        samples : shape = (samples,)
            Mono audio at the model's rate; full scale is 1.
        quiet_db
            Level in dB re full scale. Below it the window is quiet: the text is empty, and the
            model is not asked. It is the rule, and the default, of `aac-stream`.

        Raises
        ------
        ValueError
            `samples` are not audio: of another type or shape, not finite, or too short.
        ModelError
            The model gives values that are no numbers.
        """
        spec = self.bundle.features
        features = LogMel(spec)(check_samples(samples, spec))
        if loud_db(level_db(features, spec)) < quiet_db:
            return Description("", 1.0, True)
        return self.describe(features)


def load_captioner(
    folder: Path | None = None, threads: int = 1, backend: str = "onnx", beam: int | None = None
) -> Captioner:
    """The captioner of the bundle in `folder`, or of the default bundle.

    `beam` replaces the bundle's own number of beams.

    Raises: BundleError.
    """
    bundle = load_bundle(folder or default_bundle())
    if beam is not None:
        bundle = replace(bundle, search=replace(bundle.search, beam=beam))
    return Captioner(bundle, load_backend(backend, bundle, threads))


def _at_least(features: Floats, frames: int, spec: FeatureSpec) -> Floats:
    """`features` with frames of digital silence after it, if it is shorter than `frames`."""
    silence = (10.0 * np.log10(spec.floor) - spec.mean) / spec.std
    short = max(0, frames - len(features))
    return np.pad(features, ((0, short), (0, 0)), constant_values=silence)
