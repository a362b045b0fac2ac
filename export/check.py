"""`aac-export verify`: is a bundle whole, and the same on every backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

from edge.config import BACKENDS
from edge.errors import BundleError, NotInstalledError
from edge.inference.backends import Backend, load_backend
from edge.inference.beam_search import probabilities
from edge.inference.bundle import GRAPHS, Bundle, load_bundle
from edge.inference.features import Floats, LogMel
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
    expected: Floats | None = None
    for name in BACKENDS if bundle.format == "onnx" else (bundle.format,):
        try:
            backend = load_backend(name, bundle)
        except NotInstalledError as error:
            if name == bundle.format:
                raise
            yield str(error)
            continue
        heard = _heard(bundle, backend)
        if expected is None:
            expected = heard
            yield f"backend {name}: runs"
            continue
        gap = float(np.abs(heard - expected).max())
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


def _heard(bundle: Bundle, backend: Backend) -> Floats:
    """Probabilities of what follows each of as many words as a caption may have."""
    rate = bundle.features.sample_rate
    t = np.arange(SECONDS * rate) / rate
    sweep = 0.2 * np.sin(2 * np.pi * (100 * t + 300 * t**2)) * (np.sin(2 * np.pi * t) > 0)
    rng = np.random.default_rng(0)
    audio = sweep + 0.01 * rng.standard_normal(len(t))
    memory = backend.encode(LogMel(bundle.features)(audio.astype(np.float32)))
    size = len(bundle.vocabulary)
    words = [int(word) for word in rng.integers(size, size=bundle.search.max_tokens - 1)]
    first = probabilities(backend, memory, [bundle.decoder.start])
    if first.shape != (1, size):  # before words that the decoder may not know
        raise BundleError(
            f"model {bundle.name!r}: the {first.shape[1]} words of its decoder do not fit the "
            f"vocabulary of {size} words"
        )
    found = probabilities(backend, memory, [bundle.decoder.start, *words])
    if not np.isfinite(found).all():
        raise BundleError(f"model {bundle.name!r}: gives numbers that are not finite")
    return found
