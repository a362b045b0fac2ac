"""From the features of one window to a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.backend import OnnxBackend
from edge.bundle import Bundle, default_bundle, load_bundle
from edge.features import FeatureSpec, Floats, LogMel

MIN_FRAMES = 96  # about 1 s; a shorter sound is set in silence


@dataclass(frozen=True)
class Description:
    """What was heard in a window."""

    text: str
    confidence: float  # geometric mean of the tokens' probabilities
    quiet: bool  # the model says that nothing sounds


class Captioner:
    """A loaded model."""

    def __init__(self, bundle: Bundle, backend: OnnxBackend) -> None:
        self.bundle, self._backend = bundle, backend

    def describe(self, features: Floats) -> Description:
        """Caption `features` (frames, mels), greedily."""
        spec = self.bundle.decoder
        memory = self._backend.encode(_at_least(features, MIN_FRAMES, self.bundle.features))
        cache = self._backend.start()
        token, tokens, log_probability, steps = spec.start, [], 0.0, 0
        while steps < spec.max_tokens:
            logits, cache = self._backend.step(token, cache, memory)
            logits[[spec.pad, spec.start]] = -np.inf
            token = int(logits.argmax())
            log_probability += _log_softmax(logits, token)
            steps += 1
            if token == spec.end:
                break
            tokens.append(token)
        text = self.bundle.text(tokens)
        confidence = float(np.exp(log_probability / steps))
        return Description(text, confidence, text in self.bundle.quiet_captions)

    def describe_audio(self, samples: Floats) -> Description:
        """Caption mono `samples` at the model's rate as one window."""
        return self.describe(LogMel(self.bundle.features)(samples))


def load_captioner(folder: Path | None = None, threads: int = 1) -> Captioner:
    """The captioner of the bundle in `folder`, or of the default bundle.

    Raises: BundleError.
    """
    bundle = load_bundle(folder or default_bundle())
    return Captioner(bundle, OnnxBackend(bundle, threads))


def _at_least(features: Floats, frames: int, spec: FeatureSpec) -> Floats:
    """`features` with frames of digital silence after it, if it is shorter than `frames`."""
    silence = (10.0 * np.log10(spec.floor) - spec.mean) / spec.std
    short = max(0, frames - len(features))
    return np.pad(features, ((0, short), (0, 0)), constant_values=silence)


def _log_softmax(logits: Floats, token: int) -> float:
    top = logits.max()
    return float(logits[token] - top - np.log(np.exp(logits - top).sum()))
