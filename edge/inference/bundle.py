"""Read model bundles: a folder with `manifest.json` and the files whose checksums it lists.

docs/bundle.md describes every key.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from edge.errors import BundleError
from edge.inference.features import FeatureSpec
from edge.inference.onnx_scan import has_external_data
from edge.schema import fill

VERSION = 2
MANIFEST = "manifest.json"
# Files that hold the graphs, by format.
GRAPHS = {
    "onnx": ("encoder.onnx", "decoder.onnx"),
    "openvino": ("encoder.xml", "encoder.bin", "decoder.xml", "decoder.bin"),
}


@dataclass(frozen=True)
class DecoderSpec:
    """Shape of the decoder's cache, and its special tokens."""

    layers: int
    heads: int
    head_width: int
    start: int
    end: int
    pad: int


@dataclass(frozen=True)
class SearchSpec:
    """Settings of the beam search."""

    beam: int  # Number of beams; 1 is greedy search.
    max_tokens: int  # Maximum length of a caption, including the end token.
    no_repeat_ngram: int  # No n-gram of this length occurs twice; 0 turns the rule off.
    forbidden: list[int]  # Tokens that never occur in a caption.


@dataclass(frozen=True)
class Bundle:
    """A model: the contents of its manifest, and its verified graphs."""

    name: str
    precision: str
    format: str  # A key of GRAPHS.
    licence: str
    features: FeatureSpec
    decoder: DecoderSpec
    search: SearchSpec
    vocabulary: list[str]
    quiet_captions: frozenset[str]  # Captions that the model gives to silence.
    training: dict[str, Any]
    metrics: dict[str, float]
    graphs: dict[str, bytes]

    def text(self, tokens: list[int]) -> str:
        """Return the words of `tokens`, separated by spaces."""
        return " ".join(self.vocabulary[token] for token in tokens)


def default_bundle() -> Path:
    """Return the folder of the model that ships with the package."""
    return Path(str(files("edge") / "model"))


def size_mb(folder: Path) -> float:
    """Return the size of the bundle in `folder` on disk in MB (10^6 bytes)."""
    return sum(file.stat().st_size for file in folder.iterdir()) / 1e6


def load_bundle(folder: Path) -> Bundle:
    """Read and verify the bundle in `folder`.

    Raises
    ------
    BundleError
        A file is missing or altered, the manifest has a version that this program does not know,
        or a graph reads data from a file without a checksum.
    """
    path = folder / MANIFEST
    manifest = read_manifest(folder)
    try:
        names = GRAPHS[manifest["format"]]
        checksums = manifest["files"]
        bundle = Bundle(
            **{key: manifest[key] for key in ("name", "precision", "format", "licence")},
            features=fill(FeatureSpec, manifest["features"]),
            decoder=fill(DecoderSpec, manifest["decoder"]),
            search=fill(SearchSpec, manifest["search"]),
            vocabulary=manifest["vocabulary"],
            quiet_captions=frozenset(manifest["quiet_captions"]),
            training=manifest["training"],
            metrics=manifest["metrics"],
            graphs={name: _read_verified(folder / name, checksums[name]) for name in names},
        )
        for name, graph in bundle.graphs.items():
            _check_graph(folder / name, graph)
        _check(bundle)
    except KeyError as error:
        raise BundleError(f"{path}: {error} is missing or not known; {MEND}") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"{path}: {error}; {MEND}") from None
    return bundle


MEND = "install the model again, or export it again"


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest in `folder`; only its version is checked.

    Raises
    ------
    BundleError
        The manifest cannot be read, is not JSON, or has another version.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(
            f"{path}: cannot be read ({error.strerror}); a model bundle is a folder that holds it"
        ) from None
    except ValueError:
        raise BundleError(f"{path}: is damaged; {MEND}") from None
    version = manifest.get("version") if isinstance(manifest, dict) else None
    if version != VERSION:
        raise BundleError(
            f"{path}: has version {version}, this program reads version {VERSION}; "
            "export the model again, or install the aac-stream that made it"
        )
    return dict(manifest)


def _check(bundle: Bundle) -> None:
    """Check that the parts of `bundle` fit together.

    Raises
    ------
    ValueError
        A token is outside the vocabulary, or a value is out of range.
    """
    words = len(bundle.vocabulary)
    if not all(isinstance(word, str) for word in [*bundle.vocabulary, *bundle.quiet_captions]):
        raise ValueError("vocabulary or quiet_captions: holds what is not text")
    spec, search, features = bundle.decoder, bundle.search, bundle.features
    for token in (spec.start, spec.end, spec.pad, *search.forbidden):
        if not 0 <= token < words:
            raise ValueError(f"token {token} is not in the vocabulary of {words} words")
    if spec.end in search.forbidden:
        raise ValueError("search: forbids the end token, without which no caption ends")
    sizes = {
        "decoder": (spec.layers, spec.heads, spec.head_width),
        "search": (search.beam, search.max_tokens),
        "features": (features.sample_rate, features.window, features.hop, features.n_mels),
    }
    for name, values in sizes.items():
        if min(values) < 1:
            raise ValueError(f"{name}: holds a size below 1")
    if features.std <= 0.0 or features.floor <= 0.0:
        raise ValueError("features: std and floor are above 0")


def _check_graph(path: Path, graph: bytes) -> None:
    """Check that `graph` has the format that its file name says, and is complete.

    Raises
    ------
    BundleError
        The graph has another format, or keeps its weights in another file.
    """
    if path.suffix == ".xml" and not graph.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        # OpenVINO would also read an ONNX graph, whatever the name of its file.
        raise BundleError(f"{path}: is no graph of OpenVINO; {MEND}")
    if path.suffix != ".onnx":
        return
    try:
        external = has_external_data(graph)
    except ValueError:
        raise BundleError(f"{path}: is no ONNX graph; {MEND}") from None
    if external:
        raise BundleError(
            f"{path}: has weights in another file (external data), which no checksum covers; "
            "save the graph with its weights inside and export the bundle again"
        )


def _read_verified(path: Path, sha256: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); {MEND}") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise BundleError(f"{path}: is not the file that was shipped; {MEND}")
    return data
