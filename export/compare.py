"""A bundle against the PyTorch student that it was made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from distill.models.checkpoint import Checkpoint
from edge.errors import BundleError
from edge.inference.backends import load_backend
from edge.inference.beam_search import probabilities
from edge.inference.bundle import Bundle
from edge.inference.captioner import Captioner
from edge.inference.features import Floats

CLIPS = 16  # enough to see a wrong graph, few enough to take seconds
MADE_FRAMES = 500


def limit(precision: str) -> float:
    """How far a token's probability may be from that of PyTorch, or of another backend.

    In fp32 nothing differs but the order of sums, which shows in the sixth decimal. int8 rounds
    each value to one of 256: a probability moves by some hundredths, and where the ranges of whole
    windows are found at run time by 0.14 on average. A wrong graph says something else altogether.
    """
    return 1e-3 if precision == "fp32" else 0.25


@dataclass(frozen=True)
class Difference:
    """How far a bundle is from PyTorch."""

    largest: float  # of a token's probability
    mean: float  # over clips, of the largest in each
    clips: int  # 0: there were none, it heard noise


@torch.inference_mode()
def difference(checkpoint: Checkpoint, bundle: Bundle, windows: Sequence[Floats]) -> Difference:
    """Compare the probabilities of each token of what `bundle` says of `windows`.

    Raises: BundleError beyond the limit of its precision.
    """
    backend = load_backend(bundle.format, bundle)
    captioner = Captioner(bundle, backend)
    chosen = list(windows[:: max(1, len(windows) // CLIPS)][:CLIPS]) or [_noise(checkpoint)]
    found = []
    for features in chosen:
        said = captioner.hypothesis(features).tokens
        prefix = [bundle.decoder.start, *said][: bundle.search.max_tokens]
        expected, _ = checkpoint.student(torch.from_numpy(features)[None], torch.tensor([prefix]))
        got = probabilities(backend, backend.encode(features), prefix)
        found.append(float(np.abs(got - expected[0].softmax(1).numpy()).max()))
    result = Difference(max(found), float(np.mean(found)), len(chosen) if windows else 0)
    most = limit(bundle.precision)
    if not result.mean <= most:  # also NaN
        raise BundleError(
            f"{bundle.precision}: token probabilities differ from PyTorch's by {result.mean:.2g} "
            f"on average, more than {most:g}; it was not written"
        )
    return result


def _noise(checkpoint: Checkpoint) -> Floats:
    shape = (MADE_FRAMES, checkpoint.features.n_mels)
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)
