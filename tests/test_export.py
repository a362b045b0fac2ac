"""Export of a student, its precision, and what `edge` makes of the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
import torch
from torch import nn

from distill.models.checkpoint import Checkpoint, load_checkpoint
from distill.models.student import Student, StudentSpec
from distill.training.shard_builder import FEATURES
from edge.inference.backends import load_backend
from edge.inference.bundle import load_bundle
from edge.inference.captioner import Captioner, load_captioner
from export.cli import main
from export.variants import VARIANTS
from tests.helpers import SAMPLE

WORDS = ["<pad>", "<start>", "<end>", *(f"w{i}" for i in range(37))]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student with random weights, as training would leave it."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    student = Student(StudentSpec(len(WORDS)))
    for module in student.modules():
        if isinstance(module, nn.BatchNorm2d):  # as if it had seen data
            module.running_mean.normal_(0.0, 0.2)  # type: ignore[union-attr,operator]
            module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr,operator]
    samples, rate = soundfile.read(SAMPLE, stop=32_000 * 20, dtype="float32")
    clips = []
    for i in range(4):
        clips.append(folder / f"{i}.wav")
        soundfile.write(clips[-1], samples[i * rate * 5 :][: rate * 5], rate)
    state = {
        "spec": asdict(student.spec),
        "averaged": student.state_dict(),
        "words": WORDS,
        "features": asdict(FEATURES),
        "quiet_captions": ["w1"],
        "calibration": [str(clip) for clip in clips],
        "teacher": "audioset-trm",
        "step": 1,
        "config": {"seed": 0},
        "data": {"clips": 4, "sources": []},
    }
    torch.save(state, folder / "last.pt")
    return folder / "last.pt"


@pytest.fixture(scope="module")
def bundles(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundles")
    assert main(["make", str(checkpoint), str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def student(checkpoint: Path) -> Checkpoint:
    return load_checkpoint(checkpoint)


@torch.inference_mode()
def pytorch_logits(student: Student, features: np.ndarray, tokens: list[int]) -> np.ndarray:
    """Logits after each of `tokens`, all at once."""
    logits, _ = student(torch.from_numpy(features)[None], torch.tensor([tokens]))
    return np.asarray(logits[0])


def onnx_logits(folder: Path, features: np.ndarray, tokens: list[int]) -> np.ndarray:
    """The same, one token at a time through the cache."""
    backend = load_backend("onnx", load_bundle(folder))
    memory, past, out = backend.encode(features), backend.start(), []
    for token in tokens:
        logits, past = backend.step([token], past, memory)
        out.append(logits[0])
    return np.stack(out)


@pytest.mark.parametrize("frames", [96, 333, 498, 1000])
def test_onnx_gives_what_pytorch_gives_at_any_length(
    bundles: Path, student: Checkpoint, frames: int
) -> None:
    features = np.random.default_rng(frames).standard_normal((frames, 64)).astype(np.float32)
    tokens = [1, 7, 3, 30, 5]
    expected = pytorch_logits(student.student, features, tokens)
    got = onnx_logits(bundles / "fp32", features, tokens)
    np.testing.assert_allclose(got, expected, atol=1e-3)


def test_int8_is_small_and_near(bundles: Path, student: Checkpoint) -> None:
    fp32, int8 = (
        sum(file.stat().st_size for file in (bundles / name).glob("*.onnx"))
        for name in ("fp32", "int8")
    )
    assert int8 < 0.4 * fp32
    features = np.random.default_rng(0).standard_normal((498, 64)).astype(np.float32)
    expected = pytorch_logits(student.student, features, [1, 7, 3])
    got = onnx_logits(bundles / "int8", features, [1, 7, 3])
    correlation = np.corrcoef(expected.ravel(), got.ravel())[0, 1]
    assert correlation > 0.95


def test_a_bundle_is_read_back_and_speaks_its_own_words(bundles: Path) -> None:
    captioner = load_captioner(bundles / "int8")
    assert isinstance(captioner, Captioner)
    samples, rate = soundfile.read(SAMPLE, stop=32_000 * 5, dtype="float32")
    heard = captioner.describe_audio(samples[:: rate // 16_000])
    assert 0.0 < heard.confidence <= 1.0
    words = heard.text.split()
    assert set(words) <= set(WORDS)
    assert len(words) <= 24


def test_no_bundle_is_made_whose_weights_are_in_other_files(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def outside(source: Path, target: Path, _: Sequence[np.ndarray]) -> None:
        onnx.save_model(onnx.load(source), target, save_as_external_data=True, size_threshold=64)

    fp32 = VARIANTS["fp32"]
    monkeypatch.setitem(VARIANTS, "fp32", replace(fp32, decoder=outside))
    assert main(["make", str(checkpoint), str(tmp_path), "--variant", "fp32"]) == 2
    assert "decoder.onnx: has weights in another file (external data)" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_greedy_search_takes_the_likeliest_token(bundles: Path, student: Checkpoint) -> None:
    """The whole caption, token by token, from PyTorch without a cache."""
    features = np.random.default_rng(5).standard_normal((300, 64)).astype(np.float32)
    tokens, probability = [1], 0.0
    for _ in range(24):
        logits = torch.from_numpy(pytorch_logits(student.student, features, tokens)[-1])
        logits[[0, 1]] = -torch.inf
        tokens.append(int(logits.argmax()))
        probability += float(logits.log_softmax(0)[tokens[-1]])
        if tokens[-1] == 2:
            break
    bundle = load_bundle(bundles / "fp32")
    bundle = replace(bundle, search=replace(bundle.search, beam=1, no_repeat_ngram=0))
    heard = Captioner(bundle, load_backend("onnx", bundle)).describe(features)
    assert heard.text.split() == [WORDS[t] for t in tokens[1:] if t != 2]
    assert heard.confidence == pytest.approx(np.exp(probability / (len(tokens) - 1)), rel=1e-2)


def test_what_is_no_checkpoint_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "last.pt").write_bytes(b"no checkpoint")
    for name, says in [
        ("last.pt", "last.pt: is not a checkpoint of aac-distill"),
        ("none.pt", "none.pt: cannot be read (No such file or directory)"),
    ]:
        assert main(["make", str(tmp_path / name), str(tmp_path / "out")]) == 2
        err = capsys.readouterr().err
        assert says in err
        assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
