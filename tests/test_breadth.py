"""Stage 1 of the student `mobile`: mixtures without labels, and a run that can be resumed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.cli import main
from distill.models.mobilenet import MobileEncoder
from distill.scenes.noise import RATE
from distill.teachers.tagger import Tagger
from distill.training.breadth import BreadthConfig, BreadthTrainer, relative_error, train_breadth
from distill.training.config import read_config
from distill.training.unlabelled import MixSpec, UnlabelledBatches
from tests.helpers import ROOT
from tests.made_up import experiment, tone

pytestmark = pytest.mark.usefixtures("one_thread")

AUDIO = [(tone(hz, s) * 32767).astype(np.int16) for hz, s in [(400.0, 0.4), (1500.0, 3.0)]]
SHIPPED = read_config(ROOT / "distill" / "experiments" / "breadth.yaml", BreadthConfig)
SMALL = replace(
    SHIPPED, steps=4, batch=2, frames=64, blockwise_steps=2, warmup=1, decay=2, checkpoint_every=2
)


def test_a_batch_depends_on_seed_and_number_alone() -> None:
    one, again, other = (UnlabelledBatches(AUDIO, RATE, 3, seed) for seed in (1, 1, 2))
    assert torch.equal(one[5], again[5])
    assert not torch.equal(one[5], one[6])
    assert not torch.equal(one[5], other[5])


def test_mixtures_are_within_full_scale_whatever_they_pass_through() -> None:
    loud = MixSpec(mixed_share=1.0, gain_db=(20.0, 20.0), noise_share=1.0, device_share=0.5)
    batch = torch.cat([UnlabelledBatches(AUDIO, 2 * RATE, 4, 1, loud)[i] for i in range(4)])
    assert batch.shape == (16, 2 * RATE)
    assert batch.dtype == torch.float32
    assert batch.isfinite().all()
    assert batch.abs().max() <= 1.0
    assert (batch.abs().amax(1) > 0.0).all()


def test_the_encoder_has_the_taggers_shape_and_none_of_its_values() -> None:
    trainer = BreadthTrainer(SMALL, Tagger().eval().requires_grad_(False))
    features = torch.zeros(2, 64, 128)
    assert trainer.averaged(features).shape == (2, 2, 384)
    own = dict(trainer.encoder.named_parameters())
    for name, value in trainer.tagger.features.named_parameters():
        same = own[f"layers.{name}"]
        assert same.shape == value.shape
        # Scales and shifts of norms start at 1 and 0 in every network.
        assert value.std() == 0.0 or not torch.equal(same, value), name


def test_blocks_learn_by_themselves_and_then_together() -> None:
    trainer = BreadthTrainer(SMALL, Tagger().eval().requires_grad_(False))
    audio = UnlabelledBatches(AUDIO, 32_000, 2, 1)
    assert trainer.update(audio[0]).keys() == {"maps"}
    assert trainer.update(audio[1]).keys() == {"maps"}
    losses = trainer.update(audio[2])
    assert losses.keys() == {"maps", "last_map", "embedding", "contrastive", "classes"}
    assert all(np.isfinite(loss) for loss in losses.values())


def test_it_gets_nearer_to_the_tagger() -> None:
    torch.manual_seed(3)
    config = replace(SMALL, steps=60, blockwise_steps=40, decay=10, warmup=5, batch=4)
    trainer = BreadthTrainer(config, Tagger().eval().requires_grad_(False))
    audio = UnlabelledBatches(AUDIO, 1024 + 63 * 320, 4, 1)
    first = trainer.update(audio[0])["maps"]
    for number in range(1, 30):
        last = trainer.update(audio[number])["maps"]
    assert last < 0.5 * first


def test_relative_error_is_one_for_who_says_the_mean() -> None:
    wanted = torch.randn(4, 8, 5, 5)
    assert relative_error(wanted, wanted) == 0.0
    assert relative_error(torch.full_like(wanted, wanted.mean()), wanted) == pytest.approx(
        1.0, 0.01
    )


def test_an_interrupted_run_goes_on_to_the_same_end(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tagger = Tagger().eval().requires_grad_(False)
    whole = torch.load(train_breadth(SMALL, AUDIO, tagger, tmp_path / "whole", print))
    said: list[str] = []
    # The schedule counts from the end, so the first half is run with the whole length.
    part = BreadthTrainer(SMALL, tagger)
    batches = UnlabelledBatches(AUDIO, 1024 + 63 * 320, 2, SMALL.seed)
    for number in range(2):
        part.update(batches[number])
    (tmp_path / "parts").mkdir()
    part.save(tmp_path / "parts" / "last.pt")
    parts = torch.load(train_breadth(SMALL, AUDIO, tagger, tmp_path / "parts", said.append))
    assert said == ["going on from step 2"]
    assert parts["step"] == whole["step"] == 4
    for name, value in whole["averaged"].items():
        assert torch.allclose(value.float(), parts["averaged"][name].float(), atol=1e-5), name


def test_the_command_trains_on_the_train_split_alone(
    corpus: Path, tagger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = experiment(tmp_path, "breadth")
    places = ["--corpus", str(corpus), "--teacher", str(tagger), "--out", str(tmp_path / "run")]
    assert main(["breadth", str(config), *places]) == 0
    assert f"wrote {tmp_path / 'run' / 'last.pt'}" in capsys.readouterr().out
    state = torch.load(tmp_path / "run" / "last.pt")
    MobileEncoder().load_state_dict(state["averaged"])
