"""`aac-distill ablation`: its table of runs, that it resumes, and the table and plot of results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from distill.cli import main
from distill.errors import CorpusError
from distill.evaluation import ablation
from distill.evaluation.ablation import Run, read_runs, table
from distill.models.checkpoint import load_checkpoint
from distill.training.config import TrainConfig, read_config
from tests.helpers import ROOT
from tests.made_up import experiment, the_line

pytestmark = pytest.mark.usefixtures("one_thread")

SHIPPED = ROOT / "distill" / "experiments" / "ablation.yaml"
TWO_RUNS = {
    "base": "default.yaml",
    "changes": {"ema": 0.5},
    "seeds": [1],
    "captioned": {"half": 0.5},
    "losses": {
        "no KD": {"sequence": 0.0, "mse": 0.0, "contrastive": 0.0},
        "all + audio-only": {"audio_only": 0.5},
    },
}


def write_table(folder: Path, **changes: object) -> Path:
    experiment(folder, "default")
    path = folder / "ablation.yaml"
    path.write_text(yaml.safe_dump(TWO_RUNS | changes, sort_keys=False), encoding="utf-8")
    return path


def test_the_table_that_ships_is_losses_times_shares() -> None:
    runs = read_runs(SHIPPED)
    assert len({run.name for run in runs}) == len(runs) == 10
    assert {run.captioned for run in runs} == {"all", "10 %"}
    default = read_config(SHIPPED.with_name("default.yaml"), TrainConfig)
    for run in runs:
        config = run.config
        assert config.captioned == {"all": 0.5, "10 %": 0.05}[run.captioned]
        assert config.captioned + config.audio_only <= 1.0
        assert config.supervised == 1.0
        assert bool(config.sequence) == (run.losses != "no KD")
        assert bool(config.mse) == ("MSE" in run.losses)
        assert bool(config.contrastive) == ("contrastive" in run.losses)
        assert bool(config.audio_only) == ("audio-only" in run.losses)
        assert (config.student, config.peak_lr) == (default.student, default.peak_lr)
        assert config.steps < default.steps
    assert {c.isalnum() or c == "-" for run in runs for c in run.name} == {True}  # of a folder


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"losses": None}, "does not describe an ablation"),
        ({"losses": {"odd": {"colour": 1.0}}}, "does not describe an ablation .*colour"),
        ({"captioned": 0.5}, "does not describe an ablation"),
        ({"base": "none.yaml"}, r"none\.yaml: cannot be read"),
    ],
)
def test_a_table_that_is_none_is_named(
    tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    with pytest.raises(CorpusError, match=says):
        read_runs(write_table(tmp_path, **changes))
    (tmp_path / "text.yaml").write_text("text")
    with pytest.raises(CorpusError, match=r"text\.yaml: does not describe an ablation"):
        read_runs(tmp_path / "text.yaml")


def test_means_and_deviations_are_over_seeds(tmp_path: Path) -> None:
    runs = read_runs(write_table(tmp_path, seeds=[1, 2, 3]))
    assert [run.seed for run in runs] == [run.config.seed for run in runs] == [1, 1, 2, 2, 3, 3]
    recall = {"no KD": [0.1, 0.2, 0.6], "all + audio-only": [0.5, 0.5, 0.5]}
    results: list[tuple[Run, dict[str, float]]] = [
        (run, {"scenes: event recall": recall[run.losses][run.seed - 1]}) for run in runs
    ]
    lines = table(results).splitlines()
    head = "| captions | losses | CIDEr-D | event recall | event precision | clips named |"
    assert lines[0] == head
    assert lines[2:] == [  # the deviation of a sample: sqrt(((-0.2)^2 + (-0.1)^2 + 0.3^2) / 2)
        "| half | no KD |  | 0.300 ± 0.265 |  |  |",
        "| half | all + audio-only |  | 0.500 ± 0.000 |  |  |",
    ]
    assert "| half | no KD |  | 0.100 |  |  |" in table(results[:2])


def test_a_run_that_is_done_is_not_done_again(
    prepared: Path,
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AAC_METRICS_JAVA_PATH", "no-java")
    monkeypatch.setattr(ablation, "SCENES", 2)
    out = tmp_path / "out"
    arguments = ["ablation", str(write_table(tmp_path)), "--data", str(prepared)]
    arguments += ["--corpus", str(corpus), "--out", str(out)]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    names = ["no-KD-half-1", "all---audio-only-half-1"]
    assert lines[:2] == names
    assert {p.name for p in out.iterdir() if p.is_dir()} == set(names)
    text = "\n".join(lines[2:])
    assert text.startswith("| captions | losses |")
    for name in names:
        trained = load_checkpoint(out / name / "last.pt").training
        assert trained["audio_only"] == (0.5 if "audio-only" in name else 0.0)
        assert trained["captioned"] == 0.5
        figures = json.loads((out / name / "figures.json").read_text())["figures"]
        assert 0.0 <= figures["scenes: event recall"] <= 1.0
        assert f"{figures['single clips, all labels']:.3f}" in text
    picture = (out / "ablation.png").read_bytes()
    assert picture.startswith(b"\x89PNG")

    files = [p for p in out.rglob("*") if p.is_file() and p.suffix != ".png"]
    before = {p: p.stat().st_mtime_ns for p in files}
    (out / "ablation.png").unlink()
    assert main(arguments) == 0
    assert capsys.readouterr().out.strip() == text  # the table, and no word of training
    assert {p: p.stat().st_mtime_ns for p in files} == before
    assert (out / "ablation.png").read_bytes() == picture

    (out / names[1] / "figures.json").unlink()  # as if it was interrupted after its training
    assert main(arguments) == 0
    assert capsys.readouterr().out.strip() == f"{names[1]}\ngoing on from step 2\n{text}"
    assert {p for p in before if p.stat().st_mtime_ns != before[p]} == {
        out / names[1] / "figures.json"
    }


def test_missing_data_is_one_line(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", str(tmp_path / "none"), "--corpus", str(corpus), "--out", str(tmp_path)]
    assert main(["ablation", str(write_table(tmp_path)), *arguments]) == 2
    assert "prepared.json: no such file" in the_line(capsys.readouterr().err)
    assert main(["ablation", str(tmp_path / "none.yaml"), *arguments]) == 2
    assert "none.yaml: cannot be read" in the_line(capsys.readouterr().err)
