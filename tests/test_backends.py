"""The same bundle on every backend, and backends that are not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.audio.clip import read_clip
from edge.config import BACKENDS
from edge.errors import BundleError
from edge.inference.backends import RUNTIMES, load_backend
from edge.inference.beam_search import log_softmax
from edge.inference.bundle import default_bundle, load_bundle
from edge.inference.captioner import load_captioner
from edge.inference.features import Floats, LogMel
from tests.helpers import ROOT, SAMPLE, aac_stream, the_one_line


@pytest.fixture(scope="module")
def windows() -> list[Floats]:
    """The sample, 5 s at a time."""
    samples = read_clip(SAMPLE, 16_000)
    log_mel = LogMel(load_bundle(default_bundle()).features)
    return [log_mel(samples[i : i + 80_000]) for i in range(0, len(samples) - 80_000, 40_000)]


def test_the_settings_know_the_backends() -> None:
    assert set(BACKENDS) == set(RUNTIMES)


@pytest.mark.parametrize("name", ["openvino", "torch"])
def test_int8_says_the_same_on_other_backends(windows: list[Floats], name: str) -> None:
    """Runtimes round int8 otherwise, by which a window between two sounds may tip; most do not."""
    pytest.importorskip(name)
    one, other = load_captioner(), load_captioner(backend=name)
    heard = [(one.describe(w), other.describe(w)) for w in windows]
    same = [a for a, b in heard if a.text == b.text]
    assert len(same) >= 0.75 * len(heard)
    assert max(abs(a.confidence - b.confidence) for a, b in heard if a.text == b.text) < 0.1


@pytest.mark.parametrize("name", ["openvino", "torch"])
def test_captions_of_every_length_are_the_same(windows: list[Floats], name: str) -> None:
    """OpenVINO's own subgraphs were wrong from the 16th token on."""
    pytest.importorskip(name)
    bundle = load_bundle(default_bundle())
    one, other = load_backend("onnx", bundle), load_backend(name, bundle)
    memory = one.encode(windows[0])
    past, words = one.start(), np.random.default_rng(0).integers(3, 700, bundle.search.max_tokens)
    for word in map(int, words):
        expected, longer = one.step([word], past, memory)
        got, kept = other.step([word], past, memory)
        gap = np.abs(np.exp(log_softmax(got)) - np.exp(log_softmax(expected))).max()
        assert gap < 0.1, past.shape[4]
        np.testing.assert_allclose(kept, longer, atol=0.3)
        past = longer


@pytest.mark.parametrize("name", BACKENDS)
def test_a_step_takes_all_beams_at_once(windows: list[Floats], name: str) -> None:
    """Two beams in one step give what each gives by itself, and the past follows its beam."""
    pytest.importorskip({"onnx": "onnxruntime"}.get(name, name))
    backend = load_backend(name, load_bundle(default_bundle()))
    memory = backend.encode(windows[0])
    _, past = backend.step([1], backend.start(), memory)
    both, pasts = backend.step([5, 9], past[:, :, [0, 0]], memory)
    swapped, _ = backend.step([7, 7], pasts[:, :, [1, 0]], memory)
    for i, token in enumerate([5, 9]):
        alone, longer = backend.step([token], past, memory)
        # int8's ranges are those of all that is in one product
        np.testing.assert_allclose(both[i], alone[0], atol=0.3)
        after, _ = backend.step([7], longer, memory)
        np.testing.assert_allclose(swapped[1 - i], after[0], atol=0.3)
    assert np.abs(both[0] - both[1]).max() > 1.0


@pytest.mark.parametrize("name", ["openvino", "torch"])
def test_a_backend_that_is_not_installed_is_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [m for m in sys.modules if m.startswith("edge.inference.backends.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    line = rf"backend {name}: {name} is not installed; type: pip install 'aac-stream\[{name}\]'"
    with pytest.raises(BundleError, match=line):
        load_captioner(backend=name)


def test_openvino_sends_nothing_to_its_makers() -> None:
    """By default `import openvino` reports itself; here it must not even try."""
    pytest.importorskip("openvino")
    code = (
        "import sys; seen = [];"
        "sys.addaudithook(lambda event, args: seen.append(event));"
        "from edge.inference.captioner import load_captioner; load_captioner(backend='openvino');"
        "bad = [e for e in seen if e.startswith(('socket.', 'subprocess.', 'urllib.'))];"
        "print(bad, sys.modules['openvino_telemetry'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[] None", done


def test_a_cache_that_cannot_be_kept_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    load_captioner(backend="openvino")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    load_captioner(backend="openvino")
    assert list((tmp_path / "aac-stream" / "openvino").iterdir())


def test_the_command_line_takes_a_backend_and_beams(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    arguments = ["--device", str(SAMPLE), "--fast", "--hop-s", "5", "--beam", "1"]
    done = aac_stream(*arguments, "--backend", "openvino")
    assert done.returncode == 0
    assert done.stdout.count("[") >= 5
    (tmp_path / "c.yaml").write_text("backend: tflite\n")
    done = aac_stream("--config", str(tmp_path / "c.yaml"))
    assert "backend: 'tflite' is not one of onnx, openvino, torch" in the_one_line(done)


def test_a_processor_that_is_not_known_is_taken_to_have_no_vnni(
    windows: list[Floats], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a Raspberry Pi 4, NumPy finds nothing to tell of."""
    from edge.inference.backends import onnx_runtime

    bundle = load_bundle(default_bundle())
    expected = load_backend("onnx", bundle).encode(windows[0])
    monkeypatch.setattr(np, "show_config", lambda mode: {"SIMD Extensions": {"baseline": [mode]}})
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "flags : sse2 avx2")
    assert not onnx_runtime._has_vnni()
    got = load_backend("onnx", bundle).encode(windows[0])
    np.testing.assert_allclose(got, expected, atol=1e-4)  # sums are exact either way
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "flags : sse2 avx2 avx_vnni")
    assert onnx_runtime._has_vnni()
