"""The default bundle, and bundles that must be refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edge.bundle import default_bundle, load_bundle
from edge.captioner import load_captioner
from edge.errors import BundleError
from tests.helpers import SAMPLE, aac_stream, the_one_line


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_bundle(), tmp_path / "bundle"))


def test_the_default_bundle_is_whole_small_and_described() -> None:
    folder = default_bundle()
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 15e6
    bundle = load_bundle(folder)
    assert bundle.precision == "int8"
    assert bundle.features.sample_rate == 16_000
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["licence"]
    assert {"sources", "clips", "steps", "seed"} <= set(manifest["training"])


def test_an_altered_graph_is_refused(copy: Path) -> None:
    data = bytearray((copy / "decoder.onnx").read_bytes())
    data[1000] ^= 1
    (copy / "decoder.onnx").write_bytes(data)
    with pytest.raises(BundleError, match=r"decoder\.onnx: is not the file that was shipped"):
        load_bundle(copy)


def test_a_missing_graph_is_named(copy: Path) -> None:
    (copy / "encoder.onnx").unlink()
    with pytest.raises(BundleError, match=r"encoder\.onnx: cannot be read"):
        load_bundle(copy)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 1}, "has version 1, this program reads version 2; export the model again"),
        ({"version": None}, "has version None"),
        ({"features": {}}, "'sample_rate' is missing or not known"),
        ({"files": {}}, r"'encoder\.onnx' is missing or not known"),
        ({"vocabulary": None}, "'NoneType'"),
        ({"vocabulary": ["<pad>", 3]}, "vocabulary or quiet_captions: holds what is not text"),
        ({"vocabulary": ["<pad>"]}, "token 1 is not in the vocabulary of 1 words"),
        ({"format": "tflite"}, "'tflite' is missing or not known"),
        ({"search": {"beam": "3"}}, "beam: '3' is not a whole number"),
        (
            {"search": {"beam": 3, "max_tokens": 9, "no_repeat_ngram": 0, "forbidden": [2]}},
            "search: forbids the end token",
        ),
        (
            {"search": {"beam": 0, "max_tokens": 9, "no_repeat_ngram": 0, "forbidden": []}},
            "search: holds a size below 1",
        ),
        ({"search": {"beams": 3}}, "'beams' is missing or not known"),
    ],
)
def test_a_wrong_manifest_is_refused(copy: Path, change: dict[str, object], says: str) -> None:
    path = copy / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BundleError, match=says):
        load_bundle(copy)


def test_a_damaged_manifest_is_refused(copy: Path) -> None:
    path = copy / "manifest.json"
    path.write_text(path.read_text()[:500])
    with pytest.raises(BundleError, match="is damaged"):
        load_bundle(copy)


def test_a_graph_that_is_no_graph_is_refused(copy: Path) -> None:
    """Checksums right, content wrong: what a broken export would leave."""
    import hashlib

    (copy / "encoder.onnx").write_bytes(b"no graph")
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"]["encoder.onnx"] = hashlib.sha256(b"no graph").hexdigest()
    path.write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="ONNX Runtime refuses it"):
        load_captioner(copy)


def test_the_command_line_names_a_missing_bundle() -> None:
    done = aac_stream("--device", str(SAMPLE), "--bundle", "/nowhere")
    assert "/nowhere/manifest.json: cannot be read" in the_one_line(done)
    assert done.stdout == ""
