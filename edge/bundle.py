"""Model bundles: a folder with `manifest.json` and the files whose checksums it holds."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from edge.errors import BundleError
from edge.features import FeatureSpec

VERSION = 1
MANIFEST = "manifest.json"
GRAPHS = ("encoder.onnx", "decoder.onnx")


@dataclass(frozen=True)
class DecoderSpec:
    """What a search needs to know of the decoder."""

    layers: int
    heads: int
    head_width: int
    max_tokens: int
    start: int
    end: int
    pad: int


@dataclass(frozen=True)
class Bundle:
    """A model: what its manifest says, and its graphs, verified."""

    name: str
    precision: str
    features: FeatureSpec
    decoder: DecoderSpec
    vocabulary: list[str]
    quiet_captions: frozenset[str]  # what the model says when it hears nothing
    graphs: dict[str, bytes]

    def text(self, tokens: list[int]) -> str:
        """The words of `tokens`."""
        return " ".join(self.vocabulary[token] for token in tokens)


def default_bundle() -> Path:
    """The folder of the model that ships in the package."""
    return Path(str(files("edge") / "model"))


def load_bundle(folder: Path) -> Bundle:
    """Read and verify the bundle in `folder`.

    Raises: BundleError if a file is missing, altered, or of a version that this program does not
    know.
    """
    manifest = _read_manifest(folder)
    try:
        graphs = {name: _read_verified(folder / name, manifest["files"][name]) for name in GRAPHS}
        return Bundle(
            name=manifest["name"],
            precision=manifest["precision"],
            features=FeatureSpec(**manifest["features"]),
            decoder=DecoderSpec(**manifest["decoder"]),
            vocabulary=list(manifest["vocabulary"]),
            quiet_captions=frozenset(manifest["quiet_captions"]),
            graphs=graphs,
        )
    except (KeyError, TypeError) as error:
        raise BundleError(
            f"{folder / MANIFEST}: is not a complete manifest ({error}); install the model again"
        ) from None


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(
            f"{path}: cannot be read ({error.strerror}); a model bundle is a folder that holds it"
        ) from None
    except ValueError:
        raise BundleError(f"{path}: is damaged; install the model again") from None
    version = manifest.get("version") if isinstance(manifest, dict) else None
    if version != VERSION:
        raise BundleError(
            f"{path}: has version {version}, this program reads version {VERSION}; "
            "export the model again, or install the aac-stream that made it"
        )
    return dict(manifest)


def _read_verified(path: Path, sha256: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{path}: cannot be read ({error.strerror}); install the model again"
        ) from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise BundleError(f"{path}: is not the file that was shipped; install the model again")
    return data
