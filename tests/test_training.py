"""Training a student: a step of it, and `aac-distill train` from end to end."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from distill.cli import main
from distill.models.checkpoint import load_checkpoint
from distill.models.student import PAD
from distill.teachers.tagger import EMBEDDING_DIM
from distill.training.batches import Batch
from distill.training.config import TrainConfig, read_config
from distill.training.schedule import warm_cosine
from distill.training.shards import ABOUT, read_about
from distill.training.train import Trainer
from tests.made_up import experiment, the_line

pytestmark = pytest.mark.usefixtures("one_thread")

Capture = pytest.CaptureFixture[str]
LOSSES = ("supervised", "sequence", "mse", "contrastive")


def train(folder: Path, data: Path, out: Path, **changes: object) -> int:
    config = experiment(folder, "default", **changes)
    return main(["train", str(config), "--data", str(data), "--out", str(out)])


# --- steps


def trainer_of(about: dict[str, object], folder: Path, **changes: object) -> Trainer:
    config = read_config(experiment(folder, "default"), TrainConfig)
    return Trainer(replace(config, **changes), about, EMBEDDING_DIM)  # type: ignore[arg-type]


def batch_of(clips: int = 4) -> Batch:
    """Random sounds and captions, of 1 s."""
    torch.manual_seed(0)
    return Batch(
        torch.randn(clips, 96, 64),
        torch.randn(clips, EMBEDDING_DIM),
        torch.cat([torch.ones(clips, 1).long(), torch.randint(3, 90, (clips, 6))], 1),
        torch.cat([torch.ones(clips, 1).long(), torch.randint(3, 90, (clips, 4))], 1),
    )


def test_a_step_lowers_the_losses_on_its_own_batch(prepared: Path, tmp_path: Path) -> None:
    trainer = trainer_of(read_about(prepared), tmp_path, steps=30)
    batch = batch_of()
    trainer.learner.projections.measure(batch.embedding)
    losses = [trainer.update(batch) for _ in range(12)]
    assert trainer.step == 12
    for name in LOSSES:
        assert losses[-1][name] < losses[0][name], losses


def test_only_losses_with_a_weight_are_there_and_audio_alone_has_no_supervised_one(
    prepared: Path, tmp_path: Path
) -> None:
    batch = batch_of()
    silent = replace(batch, tokens=torch.full_like(batch.tokens, PAD))
    trainer = trainer_of(read_about(prepared), tmp_path, mse=0.0, contrastive=0.0)
    first = trainer.update(silent)
    assert first.keys() == {"supervised", "sequence"}
    assert first["supervised"] == 0.0
    assert first["sequence"] > 0.0
    assert all(p.isfinite().all() for p in trainer.learner.parameters())
    changes = {"supervised": 0.0, "sequence": 0.0}
    trainer = trainer_of(read_about(prepared), tmp_path, **changes)
    before = trainer.learner.student.decoder.embedding.weight.clone()
    assert trainer.update(batch).keys() == {"mse", "contrastive"}
    moved = (trainer.learner.student.decoder.embedding.weight - before).abs().max()
    assert moved < 1e-4  # by weight decay alone


def test_the_average_follows_the_student(prepared: Path, tmp_path: Path) -> None:
    trainer = trainer_of(read_about(prepared), tmp_path, ema=0.9, warmup=0)
    start = trainer.averaged.decoder.embedding.weight.clone()
    trainer.update(batch_of())
    own = trainer.learner.student.decoder.embedding.weight
    keep = 1 / 10  # at first it follows faster than 0.9
    torch.testing.assert_close(
        trainer.averaged.decoder.embedding.weight, keep * start + (1 - keep) * own
    )
    assert not torch.equal(own, start)


def test_to_go_on_is_to_have_never_stopped(prepared: Path, tmp_path: Path) -> None:
    about, batch = read_about(prepared), batch_of()
    first = trainer_of(about, tmp_path, steps=9, warmup=5)
    for _ in range(2):
        first.update(batch)
    first.save(tmp_path / "last.pt")
    second = trainer_of(about, tmp_path, steps=9, warmup=5)
    second.load(tmp_path / "last.pt")
    assert second.step == 2
    for trainer in (first, second):
        torch.manual_seed(7)  # of the dropout
        trainer.update(batch)
    for one, two in ((first.learner, second.learner), (first.averaged, second.averaged)):
        for name, value in one.state_dict().items():
            torch.testing.assert_close(value, two.state_dict()[name], msg=name)
    assert first.schedule.get_last_lr() == second.schedule.get_last_lr()


def test_the_rate_warms_up_and_then_falls_to_a_hundredth() -> None:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = warm_cosine(optimiser, 4, 24)
    rates = []
    for _ in range(30):
        rates.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    assert rates[:5] == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0])
    assert rates[14] == pytest.approx(2.0 * (0.01 + 0.99 / 2))
    assert rates[24:] == pytest.approx([0.02] * 6)


# --- from end to end


def test_training_writes_a_checkpoint_and_goes_on_from_it(
    prepared: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "runs" / "first"
    assert train(tmp_path, prepared, out, steps=2) == 0
    before = torch.load(out / "last.pt", weights_only=True)
    assert "going on" not in capsys.readouterr().out
    assert train(tmp_path, prepared, out, steps=4) == 0
    assert "going on from step 2" in capsys.readouterr().out
    after = torch.load(out / "last.pt", weights_only=True)
    assert (before["step"], after["step"]) == (2, 4)
    name = "decoder.embedding.weight"
    assert not torch.equal(before["student"][name], after["student"][name])
    assert not list(out.glob("*.part"))
    checkpoint = load_checkpoint(out / "last.pt")
    assert checkpoint.training["sources"] == [{"source": "made up", "licence": "CC0", "clips": 8}]
    assert checkpoint.training["student"] == checkpoint.student.spec.encoder == "efflite"
    assert checkpoint.words == read_about(prepared)["words"]
    assert torch.equal(checkpoint.student.state_dict()[name], after["averaged"][name])
    assert all(path.is_file() for path in checkpoint.calibration)

    whole = tmp_path / "whole"
    assert train(tmp_path, prepared, whole, steps=4) == 0
    at_once = torch.load(whole / "last.pt", weights_only=True)
    torch.testing.assert_close(at_once["projections"]["mean"], after["projections"]["mean"])
    assert train(tmp_path, prepared, whole, steps=4) == 0  # nothing left to do
    again = torch.load(whole / "last.pt", weights_only=True)
    assert torch.equal(again["student"][name], at_once["student"][name])


def test_tensorboard_is_told_every_loss_and_the_rate(prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert train(tmp_path, prepared, out, steps=20, checkpoint_every=20) == 0
    board = EventAccumulator(str(out / "tensorboard"))
    board.Reload()
    names = {f"loss/{name}" for name in LOSSES}
    assert set(board.Tags()["scalars"]) == names | {"rate"}
    assert [event.step for event in board.Scalars("loss/mse")] == [20]
    assert board.Scalars("rate")[0].value == pytest.approx(1e-5)


def test_another_student_or_vocabulary_or_a_damaged_checkpoint_is_refused(
    prepared: Path, tmp_path: Path, capsys: Capture
) -> None:
    out, data = tmp_path / "run", tmp_path / "data"
    assert train(tmp_path, prepared, out) == 0
    kept = (out / "last.pt").read_bytes()
    shutil.copytree(prepared, data)
    about = read_about(data)
    about["words"][7] = "zither"
    (data / ABOUT).write_text(json.dumps(about), encoding="utf-8")
    capsys.readouterr()
    says = f"{out}/last.pt: was trained with another {{}}; give another folder"
    assert train(tmp_path, prepared, out, steps=4, student="effb0") == 2
    assert the_line(capsys.readouterr().err) == says.format("student")
    assert train(tmp_path, prepared, out, steps=4, mse=0.1) == 2
    assert the_line(capsys.readouterr().err) == says.format("mse")
    assert train(tmp_path, data, out, steps=4) == 2
    assert the_line(capsys.readouterr().err) == says.format("words")
    assert (out / "last.pt").read_bytes() == kept
    for content in (kept[:1000], b"this is text\n"):
        (out / "last.pt").write_bytes(content)
        assert train(tmp_path, prepared, out) == 2
        assert "last.pt: is damaged" in the_line(capsys.readouterr().err)


def test_data_that_is_missing_or_not_whole_is_one_line(
    prepared: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert train(tmp_path, tmp_path / "none", tmp_path / "run") == 2
    assert "none/prepared.json: no such file; the data is made by" in the_line(
        capsys.readouterr().err
    )
    shutil.copytree(prepared, tmp_path / "data")
    (tmp_path / "data" / "shards" / "scenes-00001" / "embedding.npy").unlink()
    assert train(tmp_path, tmp_path / "data", tmp_path / "run") == 2
    assert "scenes-00001: is damaged" in the_line(capsys.readouterr().err)
    assert train(tmp_path, prepared, tmp_path / "run", audio_only=0.5) == 2
    assert "together they are more than all" in the_line(capsys.readouterr().err)
    assert not (tmp_path / "run" / "last.pt").exists()
    assert train(tmp_path, prepared, tmp_path / "default.yaml") == 2
    assert "default.yaml: cannot be written (File exists)" in the_line(capsys.readouterr().err)


def test_a_kept_checkpoint_is_small_and_can_be_started_and_exported_from(
    prepared: Path, corpus: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert train(tmp_path, prepared, tmp_path / "run") == 0
    last, kept = tmp_path / "run" / "last.pt", tmp_path / "kept.pt"
    assert main(["keep", str(last), "--corpus", str(corpus), "--out", str(kept)]) == 0
    assert kept.stat().st_size < 0.2 * last.stat().st_size
    whole, small = load_checkpoint(last), load_checkpoint(kept)
    for one, two in zip(whole.student.parameters(), small.student.parameters(), strict=True):
        torch.testing.assert_close(one, two, atol=1e-3, rtol=1e-3)
    assert [corpus.resolve() / path for path in small.calibration] == [
        path.resolve() for path in whole.calibration
    ]
    assert str(tmp_path) not in str(torch.load(kept, weights_only=True))

    trainer = trainer_of(read_about(prepared), tmp_path)
    trainer.start_from(kept)
    for one, two in zip(
        trainer.learner.student.parameters(), small.student.parameters(), strict=True
    ):
        torch.testing.assert_close(one, two)

    data = tmp_path / "data"
    shutil.copytree(prepared, data)
    about = read_about(data)
    about["words"][7] = "zither"
    (data / ABOUT).write_text(json.dumps(about), encoding="utf-8")
    capsys.readouterr()
    config = experiment(tmp_path, "default")
    arguments = ["--data", str(data), "--out", str(tmp_path / "other"), "--start", str(kept)]
    assert main(["train", str(config), *arguments]) == 2
    assert the_line(capsys.readouterr().err) == f"{kept}: is a student of another vocabulary"


def test_what_cannot_be_kept_is_one_line(corpus: Path, tmp_path: Path, capsys: Capture) -> None:
    out = ["--corpus", str(corpus), "--out", str(tmp_path / "kept.pt")]
    assert main(["keep", str(tmp_path / "none.pt"), *out]) == 2
    assert "none.pt: cannot be read" in the_line(capsys.readouterr().err)
    assert not (tmp_path / "kept.pt").exists()
