"""How an item is heard, and `aac-distill evaluate` from end to end with the model that ships."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from distill.captions.writer import load_wordings
from distill.cli import main
from distill.evaluation.inference import by_bundle, by_student, by_teacher
from distill.models.student import Student, StudentSpec
from distill.models.vocabulary import Vocabulary
from distill.scenes.noise import RATE
from distill.teachers.audioset_trm import AudioSetTrm
from distill.teachers.tagger import load_tagger
from distill.training.shard_builder import FEATURES
from edge.audio.clip import read_clip
from edge.audio.file import FileSource
from edge.config import StreamConfig
from edge.inference.bundle import default_bundle
from edge.inference.captioner import load_captioner
from edge.inference.features import Floats
from edge.streaming.pipeline import StreamingCaptioner
from tests.helpers import SAMPLE
from tests.made_up import the_line, tone

pytestmark = pytest.mark.usefixtures("one_thread")

Capture = pytest.CaptureFixture[str]
QUIET = load_wordings().quiet
FAST = StreamConfig(fast=True)


@pytest.fixture(scope="module")
def sample() -> Floats:
    return read_clip(SAMPLE, RATE)


# --- an item


def test_a_bundle_is_asked_window_by_window_and_the_surest_caption_counts(
    sample: Floats, tmp_path: Path
) -> None:
    """As the loop says of the same audio in a file."""
    captioner = load_captioner()
    told = by_bundle(captioner, sample[: 9 * RATE], FAST)
    assert len(told.windows) == 5  # of 5 s, one a second
    soundfile.write(tmp_path / "a.wav", sample[: 9 * RATE], RATE, subtype="FLOAT")
    loop = StreamingCaptioner(FileSource(tmp_path / "a.wav", fast=True), captioner, FAST)
    captions = list(loop.captions())
    assert told.windows == tuple(caption.text for caption in captions)
    confidences = [caption.confidence for caption in captions if caption.text]
    assert told.confidence == max(confidences) > min(confidences)
    best = next(caption for caption in captions if caption.confidence == told.confidence)
    assert told.text == best.text


def test_a_bundle_says_nothing_of_silence_and_something_of_a_short_sound(sample: Floats) -> None:
    captioner = load_captioner()
    silence = by_bundle(captioner, np.zeros(5 * RATE, np.float32), FAST)
    assert (silence.text, silence.confidence, silence.windows) == ("", 0.0, ("",))
    low = StreamConfig(fast=True, min_confidence=0.0)
    assert by_bundle(captioner, sample[: RATE // 2], low).windows != ()


def frames_into(module: torch.nn.Module, axis: int) -> list[int]:
    """The number of frames of each input that `module` is given from now on."""
    found: list[int] = []
    module.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0].shape[axis]))
    return found


@pytest.mark.parametrize("seconds", [0.2, 1.0, 5.0])
def test_a_student_in_pytorch_hears_sounds_of_any_length(seconds: float) -> None:
    """One that is short is set in silence; a caption that says that it is quiet is none."""
    torch.manual_seed(0)
    words = Vocabulary(["a", "b", "c"])
    student = Student(StudentSpec(len(words.words))).eval()
    frames = frames_into(student.encoder, 1)
    told = by_student(student, words, tone(800.0, seconds), [])
    assert frames == [FEATURES.frames(round(16_000 * max(1.0, seconds)))]
    assert set(told.text.split()) <= {"a", "b", "c"}
    assert told.windows == (told.text,)
    assert told.confidence == 1.0
    assert by_student(student, words, tone(800.0, seconds), [told.text]).text == ""


def test_a_teacher_hears_a_sound_that_is_shorter_than_its_window(tagger: Path) -> None:
    torch.manual_seed(0)
    teacher = AudioSetTrm(load_tagger(tagger), Vocabulary(["a", "b", "c"]))
    frames = frames_into(teacher.tagger.features, 3)
    told = by_teacher(teacher, tone(800.0, 0.2), [])
    assert frames == [100]  # of 1 s
    assert set(told.text.split()) <= {"a", "b", "c"}
    assert by_teacher(teacher, tone(800.0, 0.2), [told.text]).text == ""


# --- from end to end


@pytest.fixture(autouse=True)
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    """METEOR starts a Java of its own for each table; test_metrics.py has it."""
    monkeypatch.setenv("AAC_METRICS_JAVA_PATH", "no-java")


def test_evaluate_runs_on_a_corpus(corpus: Path, capsys: Capture) -> None:
    assert main(["evaluate", "--corpus", str(corpus), "--scenes", "3", "--verbose"]) == 0
    out = capsys.readouterr().out
    assert "word for word" in out
    said = [line.split("\t") for line in out.splitlines() if "\t" in line]
    assert len(said) == 8 + 5 * 3
    assert [row[:3] for row in said[:2]] == [["int8", "clip", "Bark"]] * 2
    assert {row[2] for row in said if row[1] == "quiet"} == {"nothing"}
    assert all(0.0 <= float(row[3]) <= 1.0 for row in said)
    rows = [line.split(" | ") for line in out.splitlines() if line.startswith("| ")]
    counts = {row[0].lstrip("| "): row[1] for row in rows}
    assert counts["single clips, all labels"] == "8"
    assert counts["both of two sounds, in sequence"] == "3"
    assert counts["silence: windows with an event"] == "3"
    assert [counts[label] for label in ("Bark", "Cough", "Rain", "Sneeze")] == ["2"] * 4
    assert "meteor: not measured (" in out


def test_the_teacher_and_several_bundles_are_asked_and_the_figures_recorded(
    corpus: Path, tagger: Path, prepared: Path, tmp_path: Path, capsys: Capture
) -> None:
    bundles = [tmp_path / "one", tmp_path / "two"]
    for folder in bundles:
        shutil.copytree(default_bundle(), folder)
    given = ["--teacher", str(tagger), "--data", str(prepared), "--corpus", str(corpus)]
    assert main(["evaluate", *map(str, bundles), *given, "--scenes", "0", "--record"]) == 0
    out = capsys.readouterr().out
    assert "| measure | items | teacher | int8 | two int8 |" in out
    assert "| single clips, all labels | 8 |" in out
    for folder in bundles:
        metrics = json.loads((folder / "manifest.json").read_text())["metrics"]
        assert metrics["both of two sounds, at once"] == 0.0
        assert f"| {metrics['single clips, all labels']:.1%} (" in out
        load_captioner(folder)


def test_what_is_missing_is_one_line(
    corpus: Path, tagger: Path, tmp_path: Path, capsys: Capture
) -> None:
    for arguments, says in [
        (["--corpus", str(tmp_path)], "clips.csv: no such file"),
        (["--corpus", str(corpus), "--teacher", str(tagger)], "needs both"),
        (["--corpus", str(corpus), "--scenes", "0", str(tmp_path)], "manifest.json: "),
    ]:
        assert main(["evaluate", *arguments]) == 2
        assert says in the_line(capsys.readouterr().err)
    given = ["--teacher", str(tagger), "--data", str(tmp_path), "--scenes", "0"]
    assert main(["evaluate", "--corpus", str(corpus), *given]) == 2
    assert "teacher.pt: no such file; aac-distill prepare" in the_line(capsys.readouterr().err)
