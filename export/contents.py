"""`aac-export inspect`: what is in a bundle. It needs no more than the device does."""

from __future__ import annotations

from pathlib import Path

from edge.inference.bundle import load_bundle


def inspect(folder: Path) -> str:
    """What the manifest in `folder` says, a line each, for people."""
    bundle = load_bundle(folder)
    spec, search, features = bundle.decoder, bundle.search, bundle.features
    size = sum(len(graph) for graph in bundle.graphs.values())
    repeats = f", no {search.no_repeat_ngram} words twice" if search.no_repeat_ngram else ""
    lines = [
        (
            "model",
            f"{bundle.name}, {bundle.precision}, {bundle.format} graphs, {size / 1e6:.1f} MB",
        ),
        ("licence", bundle.licence),
        (
            "features",
            f"{features.n_mels} mel bands, {features.f_min:g} to {features.f_max:g} Hz, window "
            f"{features.window} and hop {features.hop} samples at {features.sample_rate} Hz",
        ),
        ("decoder", f"{spec.layers} layers, {spec.heads} heads of width {spec.head_width}"),
        ("vocabulary", f"{len(bundle.vocabulary)} words"),
        ("search", f"beam {search.beam}, at most {search.max_tokens} tokens{repeats}"),
    ]
    lines += [("training", f"{k}: {v}") for k, v in bundle.training.items() if not _long(v)]
    lines += [("metrics", f"{name}: {value:g}") for name, value in bundle.metrics.items()]
    return "\n".join(f"{name:11} {value}" for name, value in lines)


def _long(value: object) -> bool:
    return isinstance(value, (list, dict))
