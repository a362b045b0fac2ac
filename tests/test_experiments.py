"""Experiments as YAML: those that ship are read, and a wrong one is named in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.errors import CorpusError
from distill.training.config import DataConfig, TrainConfig, read_config
from tests.helpers import ROOT
from tests.made_up import experiment


def test_the_experiments_that_ship_are_read() -> None:
    folder = ROOT / "distill" / "experiments"
    assert read_config(folder / "default.yaml", TrainConfig).student == "efflite"
    assert read_config(folder / "data.yaml", DataConfig).beam == 3


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"colour": "red"}, r"missing or unknown: colour$"),
        ({"student": "effb9"}, r"student is one of effb2, effb0, efflite, effb2-static$"),
        ({"student": 3}, r"student is 3, not a str$"),
        ({"steps": 2.5}, r"steps is 2\.5, not a int$"),
        ({"steps": True}, r"steps is True, not a int$"),
        ({"mse": "1e-3"}, r"mse is '1e-3', not a float$"),
        ({"mse": None}, r"mse is None, not a float$"),
    ],
)
def test_a_wrong_key_of_an_experiment_is_named(
    tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    path = experiment(tmp_path, "default", **changes)
    with pytest.raises(CorpusError, match=says) as caught:
        read_config(path, TrainConfig)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("seconds", [2.0, [2.0], [1.0, 2.0, 3.0], [1.0, "2"]])
def test_a_pair_is_two_numbers(tmp_path: Path, seconds: object) -> None:
    with pytest.raises(CorpusError, match=r"seconds is .* not a tuple"):
        read_config(experiment(tmp_path, "data", seconds=seconds), DataConfig)
    assert read_config(experiment(tmp_path, "data", seconds=[1, 2.5]), DataConfig).beam == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"seed: 1\n", "missing or unknown: audio_only, batch"),
        (b"- seed\n", "holds no keys"),
        (b"", "holds no keys"),
        (b"seed: [1", "is not YAML"),
        (b"\xff\xfe\x00", "is not YAML"),
    ],
)
def test_what_is_no_experiment_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "odd.yaml"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=says):
        read_config(path, TrainConfig)
    with pytest.raises(CorpusError, match=r"none\.yaml: cannot be read \(No such file"):
        read_config(tmp_path / "none.yaml", TrainConfig)
