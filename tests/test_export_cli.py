"""`aac-export make`, `inspect` and `verify` as a user meets them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import soundfile

from edge.audio.clip import read_clip
from edge.inference.bundle import default_bundle, load_bundle
from export.cli import main
from export.variants import VARIANTS
from tests.helpers import ROOT, SAMPLE

pytestmark = pytest.mark.usefixtures("one_thread")

SHIPPED = ROOT / "distill" / "default.pt"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The start of the sample in pieces of 5 s."""
    folder = tmp_path_factory.mktemp("clips")
    samples = read_clip(SAMPLE, 16_000)
    for i in range(0, 30, 5):
        soundfile.write(folder / f"{i:02}.wav", samples[i * 16_000 : (i + 5) * 16_000], 16_000)
    return folder


@pytest.fixture(scope="module")
def made(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Every variant of the student that ships, and what was said of them."""
    pytest.importorskip("nncf")
    out, said = tmp_path_factory.mktemp("made"), io.StringIO()
    names = [argument for name in VARIANTS for argument in ("--variant", name)]
    with contextlib.redirect_stdout(said):
        assert main(["make", str(SHIPPED), str(out), "--clips", str(clips), *names]) == 0
    return out, said.getvalue()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_bundle(), tmp_path / "bundle"))


def the_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command that is refused says: one line, no traceback, exit code 2."""
    assert main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def replace_graph(folder: Path, name: str, data: bytes) -> None:
    """As if it had been exported so: the checksum is right."""
    (folder / name).write_bytes(data)
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][name] = hashlib.sha256(data).hexdigest()
    path.write_text(json.dumps(manifest))


def test_every_variant_of_the_shipped_student_is_a_verified_bundle(
    made: tuple[Path, str],
) -> None:
    out, said = made[0], made[1].splitlines()
    assert [line.split(":")[0] for line in said] == [str(out / name) for name in VARIANTS]
    gaps = {}
    for name, line in zip(VARIANTS, said, strict=True):
        assert "on 6 recordings" in line
        gaps[name] = float(line.split("PyTorch's by ")[1].split()[0])
        assert main(["verify", str(out / name)]) == 0
    assert gaps["fp32"] < 1e-4 < 1e-3 < gaps["int8"]
    sizes = {n: sum(f.stat().st_size for f in (out / n).iterdir()) for n in VARIANTS}
    assert max(sizes, key=lambda name: sizes[name]) == "fp32"
    assert sizes["int8"] < 0.4 * sizes["fp32"]
    assert sorted(path.name for path in out.iterdir()) == sorted(VARIANTS)


def test_a_bundle_is_replaced_only_by_a_whole_one(copy: Path, tmp_path: Path) -> None:
    """Files may not grow beyond 1 MB: as on a full disk, the write fails in the middle."""
    shutil.copytree(copy, tmp_path / "out" / "fp32")
    code = (
        "import sys; from export.cli import main;"
        f"sys.exit(main(['make', {str(SHIPPED)!r}, {str(tmp_path / 'out')!r},"
        " '--variant', 'fp32']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
    )
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    assert f"{tmp_path / 'out'}: cannot be written (File too large)" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["fp32"]
    assert main(["verify", str(tmp_path / "out" / "fp32")]) == 0


def test_what_cannot_be_exported_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    (tmp_path / "empty").mkdir()
    for arguments, says in [
        ([], ".ogg: no recordings to measure the ranges of int8 on; give a folder with --clips"),
        (["--clips", str(tmp_path / "empty")], "empty: holds no recordings (.aif, .aiff"),
        (["--variant", "int4"], "--variant int4: is not one of fp32, int8"),
    ]:
        assert says in the_line(["make", str(SHIPPED), out, *arguments], capsys)
    assert not (tmp_path / "out").exists()


def test_inspect_says_what_a_bundle_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(default_bundle())]) == 0
    said = capsys.readouterr().out
    bundle = load_bundle(default_bundle())
    assert "aac-stream-efflite, int8, onnx graphs" in said
    assert f"{len(bundle.vocabulary)} words" in said
    assert "beam 3, at most 24 tokens, no 2 words twice" in said
    assert "teacher: audioset-trm" in said
    for name in bundle.metrics:
        assert name in said


def test_verify_says_that_backends_agree(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("openvino")
    assert main(["verify", str(default_bundle())]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("manifest: complete")
    assert [line.split(":")[0] for line in said[1:]] == [
        "encoder.onnx",
        "decoder.onnx",
        "backend onnx",
        "backend openvino",
        "backend torch",
    ]


def test_verify_finds_a_graph_of_another_model(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "vocabulary": manifest["vocabulary"][:-1]}))
    assert "do not fit the vocabulary of 767 words" in the_line(["verify", str(copy)], capsys)
    path.write_text(json.dumps({**manifest, "vocabulary": [*manifest["vocabulary"], "more"]}))
    assert "do not fit the vocabulary of 769 words" in the_line(["verify", str(copy)], capsys)


def test_verify_finds_what_is_no_graph(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replace_graph(copy, "decoder.onnx", b"no graph")
    assert "decoder.onnx: is no ONNX graph" in the_line(["verify", str(copy)], capsys)


def test_an_opset_too_new_is_one_line(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = onnx.load(copy / "encoder.onnx")
    for opset in model.opset_import:
        if opset.domain == "":
            opset.version = 999
    replace_graph(copy, "encoder.onnx", model.SerializeToString())
    assert "ONNX Runtime refuses it" in the_line(["verify", str(copy)], capsys)
    from edge.cli import main as stream

    assert stream(["--device", str(SAMPLE), "--bundle", str(copy)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "ONNX Runtime refuses it" in lines[0]
    assert "opset" in lines[0]


def test_a_bundle_for_openvino_says_so_elsewhere(
    made: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    from edge.cli import main as stream

    bundle = ["--device", str(SAMPLE), "--fast", "--bundle", str(made[0] / "int8-nncf")]
    assert stream(bundle) == 2
    assert "for openvino alone; use --backend openvino" in capsys.readouterr().err
    assert stream([*bundle, "--backend", "openvino", "--hop-s", "5"]) == 0
    assert "a rooster crows" in capsys.readouterr().out
