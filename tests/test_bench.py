"""`aac-bench run`: real workers measure real systems; no test looks at how long anything took."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile

from benchmarks import plan
from benchmarks.cli import main
from benchmarks.options import Options
from benchmarks.processes import Worker, WorkerError
from benchmarks.results import FILE, Measurement, Result, read_result
from benchmarks.scenarios.live import Shown, Sound, known_sounds, sound_to_caption
from benchmarks.subjects import load_subject
from benchmarks.systems import REFERENCE, System, in_pytorch, of_bundles
from benchmarks.worker import Job
from distill.captions.writer import load_wordings
from edge.errors import AacStreamError
from edge.inference.bundle import default_bundle
from edge.streaming.pipeline import Caption
from tests.helpers import ROOT, SAMPLE

BASE = {"window_s": 2.0, "beam": 3, "tokens": 5, "threads": 1}


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first seconds of the sample, with the table of its sounds."""
    folder = tmp_path_factory.mktemp("recording")
    samples, rate = soundfile.read(SAMPLE, stop=32_000 * 7, dtype="float32")
    soundfile.write(folder / "a.wav", samples, rate)
    shutil.copy(SAMPLE.with_suffix(".csv"), folder / "a.csv")
    return folder / "a.wav"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of 2 s and short captions, where a run does not vary them."""
    monkeypatch.setattr(plan, "BASE", BASE)


def int8() -> System:
    return of_bundles([default_bundle()])[0]


def run(out: Path, recording: Path, *arguments: str) -> Result:
    command = ["run", str(out), "--rounds", "2", "--recording", str(recording), *arguments]
    assert main(command) == 0
    return read_result(out)


def of(result: Result, metric: str, system: str = "int8/onnx") -> list[Measurement]:
    return [m for m in result.measurements if (m.metric, m.system) == (metric, system)]


def test_a_run_measures_every_system_in_turn(tmp_path: Path, recording: Path) -> None:
    pytest.importorskip("torch")
    names = ["--system", "int8/onnx", "--system", "fp32/torch", "--system", "published"]
    result = run(tmp_path, recording, "--name", "a box", "--scenario", "window", *names)
    assert result.complete
    assert result.machine.name == "a box"
    assert [(s.name, s.status, s.speed_only) for s in result.systems] == [
        ("int8/onnx", "ok", False),
        ("fp32/torch", "ok", False),
        ("published", "ok", True),
    ]
    assert not result.missing
    for system in ("int8/onnx", "fp32/torch", "published"):
        (whole, *_), (encoder, *_) = (
            of(result, "whole_ms", system),
            of(result, "encoder_ms", system),
        )
        assert len(whole.rounds) == 2
        assert whole.count >= 4
        assert 0.0 < encoder.median < whole.median <= whole.p95 <= whole.p99
    assert len(of(result, "reference_ms", REFERENCE.name)) == len(of(result, "whole_ms"))


def test_what_a_device_runs_is_measured_in_every_way(tmp_path: Path, recording: Path) -> None:
    names = ("start", "memory", "size", "quality", "stream", "batch", "scaling")
    chosen = [word for name in names for word in ("--scenario", name)]
    result = run(tmp_path, recording, "--system", "int8/onnx", *chosen)
    assert result.complete
    assert not result.missing
    assert of(result, "cold_start_s")[0].count == 2
    assert of(result, "peak_mb")[0].median > of(result, "model_mb")[0].median > 5.0
    assert of(result, "install_mb")[0].median > 50.0  # NumPy and ONNX Runtime alone are more
    assert of(result, "audio_s_per_s")[0].median > 0.0
    hops = [m.setting["hop_s"] for m in of(result, "rtf")]
    assert {0.5, 1.0, 2.0} < set(hops)
    parts = ("features", "encoder", "decoder", "search", "rest")
    whole = of(result, "loop_ms")[0].median
    together = sum(of(result, f"loop_{part}_ms")[0].median for part in parts)
    assert together == pytest.approx(whole, rel=0.5)  # medians of two rounds, each of its own
    lengths = {m.setting["window_s"] for m in of(result, "whole_ms")}
    assert lengths == {2.0, 5.0, 10.0, 20.0, 30.0}
    # Without fp32 PyTorch there is nothing to compare captions with.
    assert not of(result, "same_captions")
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "report")]) == 0
    assert "int8/onnx" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")


def test_captions_are_compared_with_those_of_pytorch(
    tmp_path: Path, recording: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("AAC_METRICS_JAVA_PATH", "no-java")  # test_metrics.py has METEOR
    chosen = ["--scenario", "quality", "--system", "int8/onnx", "--system", "fp32/torch"]
    result = run(tmp_path / "a", recording, *chosen)
    assert of(result, "same_captions", "fp32/torch")[0].median == 1.0
    assert 0.0 < of(result, "same_captions")[0].median <= 1.0
    examined = run(tmp_path / "b", recording, *chosen, "--corpus", str(corpus), "--scenes", "4")
    assert of(examined, "same_captions", "fp32/torch")[0].median == 1.0
    for metric in ("clips_named", "event_recall", "event_precision"):
        assert 0.0 <= of(examined, metric)[0].median <= 1.0
    assert of(examined, "clips_named")[0].setting == {"scenes": 4}


def test_in_real_time(recording: Path) -> None:
    from benchmarks.scenarios import live, microphones

    options = Options(str(recording), live_s=6.0, microphones_s=1.5)
    job = Job(int8(), "live", {"hop_s": 1.0}, options, time.time())
    found = live.begin(job)()
    assert len(found["delay_ms"]) == 2  # windows end at 5 and 6 s
    assert all(delay > 0.0 for delay in found["delay_ms"])
    assert 0.0 < found["cpu_share"][0] < 1.0
    assert found["sounds_named"] == [1.0]  # the rooster, alone until then
    job = Job(int8(), "microphones", {"microphones": 3}, options, time.time())
    found = microphones.begin(job)()
    assert 0.0 <= found["skipped_share"][0] < 1.0
    assert found["cpu_share"][0] > 0.0


def test_the_time_to_a_name_counts_from_the_start_of_the_sound() -> None:
    def shown(start_s: float, text: str, at_s: float) -> Shown:
        return Shown(Caption(start_s, start_s + 5.0, "caption", text, 0.9, -20.0), at_s)

    sounds = [Sound(2.0, 4.0, "Bark"), Sound(3.0, 5.0, "Rain"), Sound(20.0, 21.0, "Bark")]
    captions = [
        shown(0.0, "rain falls", 5.1),
        shown(1.0, "a dog barks while rain falls", 6.1),
        shown(6.0, "a dog barks", 11.1),  # of a window in which none does
    ]
    assert sound_to_caption(captions, sounds) == pytest.approx([6.1 - 2.0, 5.1 - 3.0])


def test_the_sounds_of_the_sample_are_ones_that_can_be_named(tmp_path: Path) -> None:
    sounds = known_sounds(SAMPLE)
    assert len(sounds) == 10
    assert {sound.label for sound in sounds} <= load_wordings().labels.keys()
    assert known_sounds(tmp_path / "none.wav") == []
    (tmp_path / "a.csv").write_text("start_s,label\n1,Bark\n", encoding="utf-8")
    with pytest.raises(AacStreamError, match=r"a\.csv: .*heard_as"):
        known_sounds(tmp_path / "a.wav")


def test_every_system_says_as_many_tokens() -> None:
    pytest.importorskip("transformers")
    from benchmarks.scenarios.window import noise

    systems = [int8(), *in_pytorch()]
    for name in ("int8/onnx", "fp32/torch", "published", "teacher"):
        system = next(system for system in systems if system.name == name)
        subject = load_subject(system, BASE)
        times = subject.caption(noise(subject.rate, 2.0))
        assert times.tokens == 5, name
        assert times.features + times.encoder + times.decoder <= times.whole


def test_what_is_not_there_is_a_row_and_not_a_crash(
    tmp_path: Path, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    # As Python itself would say it, in every process of the run.
    lacking = 'raise ModuleNotFoundError("No module named \'openvino\'", name="openvino")\n'
    (blocked / "openvino.py").write_text(lacking, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(blocked))
    names = [w for n in ("int8/openvino", "int8/onnx", "teacher-cuda") for w in ("--system", n)]
    result = run(tmp_path / "out", recording, "--scenario", "window", *names)
    states = {state.name: state for state in result.systems}
    assert states["int8/onnx"].status == "ok"
    assert states["int8/openvino"].status == "not installed"
    assert "pip install" in states["int8/openvino"].why
    if not torch.cuda.is_available():
        assert states["teacher-cuda"].status == "not here"
        assert "GPU" in states["teacher-cuda"].why
    assert {m.system for m in result.measurements} >= {"int8/onnx"}
    assert not of(result, "whole_ms", "int8/openvino")


def test_another_checkout_is_measured_by_its_own_code(tmp_path: Path, recording: Path) -> None:
    shutil.copytree(ROOT / "edge", tmp_path / "old" / "edge")
    search = tmp_path / "old" / "edge" / "inference" / "beam_search.py"
    search.write_text("raise RuntimeError('the old search')\n", encoding="utf-8")
    result = run(
        tmp_path / "out",
        recording,
        *("--scenario", "window", "--before", str(tmp_path / "old")),
        *("--system", "int8/onnx", "--system", "before: int8/onnx"),
    )
    assert of(result, "whole_ms")
    assert not of(result, "whole_ms", "before: int8/onnx")
    (missing,) = {(m.system, m.why) for m in result.missing}
    assert missing == ("before: int8/onnx", "RuntimeError: the old search")


def test_a_worker_that_dies_is_told_from_one_that_cannot(recording: Path) -> None:
    with Worker(int8(), "window", BASE, Options(str(recording))) as worker:
        worker.ready()
        assert worker.round()["whole_ms"]
        worker._process.send_signal(signal.SIGKILL)
        with pytest.raises(WorkerError, match="ended by signal 9"):
            worker.round()
    broken = System("x", "bundle", "x", "onnx", str(recording.parent))
    with (
        Worker(broken, "window", BASE, Options(str(recording))) as worker,
        pytest.raises(WorkerError, match="manifest") as caught,
    ):
        worker.ready()
    assert caught.value.kind == "BundleError"


def test_an_interrupted_run_leaves_a_valid_result(tmp_path: Path, recording: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "import sys; from benchmarks.cli import main; sys.exit(main())",
    ]
    arguments = ["run", str(tmp_path), "--system", "int8/onnx", "--recording", str(recording)]
    process = subprocess.Popen(
        [*command, *arguments, "--scenario", "scaling"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (tmp_path / FILE).exists() and read_result(tmp_path).measurements:
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to the workers too
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1].endswith("holds what was measured")
    assert "Traceback" not in err
    result = read_result(tmp_path)
    assert not result.complete
    assert of(result, "whole_ms")
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "report")]) == 0
    assert "partial" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--system", "int9/onnx"], "int9/onnx"),
        (["--recording", "none.wav"], "none.wav"),
        (["--recording", "damaged.wav"], "damaged.wav"),
        (["--folder", "nowhere"], "nowhere"),
        (["--corpus", "nowhere"], "nowhere"),
        (["--before", "."], "not a checkout"),
        (["nobundle"], "nobundle"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path,
    arguments: list[str],
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("damaged.wav").write_bytes(b"no audio")
    Path("nobundle").mkdir()
    assert main(["run", "out", *arguments, "--scenario", "size"]) == 2
    err = capsys.readouterr().err
    assert named in err
    assert len(err.splitlines()) == 1
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read"),
        ("{", "is damaged"),
        ("[]", "schema"),
        ('{"schema": "another"}', "'another'"),
        ('{"schema": "aac-stream-benchmark", "version": 99}', "version 99"),
        ('{"schema": "aac-stream-benchmark", "version": 1}', "is damaged"),
    ],
)
def test_a_file_that_is_no_result_is_refused_by_name(
    tmp_path: Path, content: str | None, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "old.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    for command in (["report", str(path)], ["headline", str(path)], ["compare", *[str(path)] * 2]):
        assert main(command) == 2
        err = capsys.readouterr().err
        assert f"{path}: " in err
        assert why in err
        assert len(err.splitlines()) == 1


def test_a_result_that_cannot_be_written_is_one_line(
    tmp_path: Path, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    chosen = ["--scenario", "size", "--system", "int8/onnx", "--recording", str(recording)]
    assert main(["run", str(tmp_path / "out"), *chosen]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_what_was_written_is_read(tmp_path: Path, recording: Path) -> None:
    result = run(tmp_path, recording, "--scenario", "size", "--system", "int8/onnx")
    values = json.loads((tmp_path / FILE).read_text(encoding="utf-8"))
    assert values["measurements"][0]["median"] == result.measurements[0].median
    values["measurements"][0]["metric"] = "of_tomorrow"
    (tmp_path / FILE).write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(AacStreamError, match="of_tomorrow"):
        read_result(tmp_path)


def test_a_reader_that_goes_away_is_no_error() -> None:
    result = ROOT / "docs" / "benchmark" / "two-server-cores.json"
    command = [sys.executable, "-m", "benchmarks", "headline", str(result)]
    for unbuffered in ("", "1"):  # it is noticed at the end, or at once
        reader, writer = os.pipe()
        os.close(reader)
        env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        done = subprocess.run(
            command, cwd=ROOT, env=env, stdout=writer, stderr=subprocess.PIPE, text=True
        )
        os.close(writer)
        assert (done.returncode, done.stderr) == (0, "")
