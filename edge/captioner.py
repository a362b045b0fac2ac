"""From the features of one window to a sentence."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge.backends import Backend, load_backend
from edge.bundle import Bundle, default_bundle, load_bundle
from edge.features import FeatureSpec, Floats, LogMel
from edge.search import Hypothesis, search

MIN_FRAMES = 96  # about 1 s; a shorter sound is set in silence


@dataclass(frozen=True)
class Description:
    """What was heard in a window."""

    text: str
    confidence: float  # geometric mean of the tokens' probabilities
    quiet: bool  # the model says that nothing sounds


class Captioner:
    """A loaded model. Threads that share it take turns."""

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        self.bundle, self._backend = bundle, backend
        self._turn = threading.Lock()

    def hypothesis(self, features: Floats) -> Hypothesis:
        """The tokens that the search of the bundle finds for `features` (frames, mels)."""
        with self._turn:
            memory = self._backend.encode(_at_least(features, MIN_FRAMES, self.bundle.features))
            return search(self._backend, memory, self.bundle.decoder, self.bundle.search)

    def describe(self, features: Floats) -> Description:
        """Caption `features` (frames, mels)."""
        found = self.hypothesis(features)
        text = self.bundle.text(found.tokens)
        return Description(text, float(np.exp(found.score)), text in self.bundle.quiet_captions)

    def describe_audio(self, samples: Floats) -> Description:
        """Caption mono `samples` at the model's rate as one window."""
        return self.describe(LogMel(self.bundle.features)(samples))


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
