"""`aac-export verify`: is a bundle whole, and the same on every backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

from edge.backends import Backend, load_backend
from edge.bundle import GRAPHS, Bundle, load_bundle
from edge.config import BACKENDS
from edge.errors import BundleError
from edge.features import LogMel
from edge.search import log_softmax
from export.compare import limit

SECONDS = 5


def verify(folder: Path) -> Iterator[str]:
    """Check the bundle in `folder`; yields a line for each thing that is right.

    Raises: BundleError at the first that is not.
    """
    bundle = load_bundle(folder)
    yield f"manifest: complete, version known, {len(bundle.graphs)} files as they were written"
    if bundle.format == "onnx":
        for name in GRAPHS["onnx"]:
            yield f"{name}: {_checked(bundle, folder / name)}"
    expected: list[np.ndarray] = []
    for name in BACKENDS if bundle.format == "onnx" else (bundle.format,):
        try:
            backend = load_backend(name, bundle)
        except BundleError as error:
            if "is not installed" not in str(error) or name == bundle.format:
                raise
            yield str(error)
            continue
        probabilities = _heard(bundle, backend)
        if not expected:
            expected = probabilities
            yield f"backend {name}: runs"
            continue
        gap = max(float(np.abs(a - b).max()) for a, b in zip(probabilities, expected, strict=True))
        if not gap <= limit(bundle.precision):
            raise BundleError(
                f"{folder}: token probabilities of {name} differ from {BACKENDS[0]}'s by {gap:.2g}"
            )
        yield f"backend {name}: runs; token probabilities within {gap:.1g} of {BACKENDS[0]}'s"


def _checked(bundle: Bundle, path: Path) -> str:
    try:
        model = onnx.load_from_string(bundle.graphs[path.name])
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # protobuf's and onnx's exceptions share no base class
        reason = str(error).strip().splitlines()[0]
        raise BundleError(f"{path}: is not a valid graph ({reason}); export it again") from None
    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    return f"valid, opset {opset}, {len(model.graph.node)} nodes"


def _heard(bundle: Bundle, backend: Backend) -> list[np.ndarray]:
    """Probabilities of what follows each of as many words as a caption may have."""
    rate = bundle.features.sample_rate
    t = np.arange(SECONDS * rate) / rate
    sweep = 0.2 * np.sin(2 * np.pi * (100 * t + 300 * t**2)) * (np.sin(2 * np.pi * t) > 0)
    rng = np.random.default_rng(0)
    audio = sweep + 0.01 * rng.standard_normal(len(t))
    memory = backend.encode(LogMel(bundle.features)(audio.astype(np.float32)))
    words = rng.integers(len(bundle.vocabulary), size=bundle.search.max_tokens - 1)
    past, found = backend.start(), []
    for token in [bundle.decoder.start, *map(int, words)]:
        logits, past = backend.step([token], past, memory)
        if logits.shape != (1, len(bundle.vocabulary)) or not np.isfinite(logits).all():
            raise BundleError(
                f"model {bundle.name!r}: logits of shape {logits.shape} do not fit the "
                f"vocabulary of {len(bundle.vocabulary)} words, or are not finite"
            )
        found.append(np.exp(log_softmax(logits)))
    return found
