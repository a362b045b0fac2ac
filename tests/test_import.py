"""`aac-export import`: the bundle says, token by token, what the original computation does."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("safetensors", reason="no safetensors; type: pip install 'aac-stream[import]'")

from edge.audio.clip import read_clip
from edge.config import BACKENDS
from edge.inference.backends import load_backend
from edge.inference.bundle import load_bundle
from edge.inference.captioner import Captioner
from edge.inference.features import Floats, LogMel
from export.cli import main
from tests.helpers import ROOT, SAMPLE, aac_stream
from tests.published import END, reference, signal, write_published

pytestmark = pytest.mark.usefixtures("one_thread")

FIXTURE = Path(
    os.environ.get("AAC_PUBLISHED_FIXTURE", ROOT.parent / "shared" / "published_student")
)
KINDS = {1: "greedy", 3: "beam3", 5: "beam5"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_published(tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("imported")
    assert main(["import", str(checkpoint), str(out)]) == 0
    return out / "fp32"


def said(folder: Path, backend: str, beam: int, samples: Floats) -> list[int]:
    bundle = load_bundle(folder)
    assert bundle.search.beam == 3
    bundle = replace(bundle, search=replace(bundle.search, beam=beam))
    captioner = Captioner(bundle, load_backend(backend, bundle))
    return captioner.hypothesis(LogMel(bundle.features)(samples)).tokens


def without_end(tokens: list[int]) -> list[int]:
    return tokens[: tokens.index(END)] if END in tokens else tokens


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_sequence_is_the_originals(bundle: Path, checkpoint: Path, backend: str) -> None:
    pytest.importorskip({"onnx": "onnxruntime"}.get(backend, backend))
    original = reference(checkpoint)
    for k, length in [(0, 160_000), (1, 70_000), (2, 48_077)]:
        samples = signal(k, length)
        heard = original.hear(samples)
        for beam in KINDS:
            expected = original.greedy(heard) if beam == 1 else original.beam(heard, beam)
            assert said(bundle, backend, beam, samples) == without_end(expected), (k, beam)


@pytest.mark.skipif(not FIXTURE.exists(), reason=f"no {FIXTURE.name} beside the repository")
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_known_sequences_are_reproduced(tmp_path: Path, backend: str) -> None:
    pytest.importorskip({"onnx": "onnxruntime"}.get(backend, backend))
    assert main(["import", str(FIXTURE), str(tmp_path)]) == 0
    known = json.loads((FIXTURE / "reference_outputs.json").read_text())
    for case in known["cases"]:
        for beam, kind in KINDS.items():
            got = said(tmp_path / "fp32", backend, beam, signal(case["k"]))
            assert got == without_end(case[kind]), (case["k"], kind)
    short = known["short"]
    got = said(tmp_path / "fp32", backend, 3, signal(short["k"], short["samples"]))
    assert got == without_end(short["beam3"])


def test_the_loop_captions_with_it_window_by_window(bundle: Path, tmp_path: Path) -> None:
    """Its frames depend on where a window ends: the loop hears what a whole clip would give."""
    output = tmp_path / "heard.jsonl"
    arguments = ["--fast", "--window-s", "10", "--hop-s", "10", "--min-confidence", "0"]
    done = aac_stream(
        *["--device", str(SAMPLE), "--bundle", str(bundle), *arguments],
        *["--format", "jsonl", "--output", str(output)],
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert [line["end_s"] for line in lines][:3] == [10.0, 20.0, 30.0]
    samples = read_clip(SAMPLE, 16_000)
    model = load_bundle(bundle)
    for line in lines[:3]:
        window = samples[int(line["start_s"] * 16_000) : int(line["end_s"] * 16_000)]
        assert line["text"] == model.text(said(bundle, "onnx", 3, window))


def test_import_says_where_from_and_keeps_the_original_search(bundle: Path) -> None:
    model = load_bundle(bundle)
    assert (model.search.no_repeat_ngram, model.search.forbidden) == (0, [])
    assert model.features.centred
    assert model.training["source"] in model.licence


def test_what_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(tmp_path / "none"), str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert "is neither a folder nor a name such as" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_other_variants_are_made_of_it_too(checkpoint: Path, tmp_path: Path) -> None:
    assert main(["import", str(checkpoint), str(tmp_path), "--variant", "int8-weights"]) == 0
    assert [folder.name for folder in tmp_path.iterdir()] == ["int8-weights"]
    assert len(said(tmp_path / "int8-weights", "onnx", 3, signal(0))) > 0
