"""Training of a student on prepared data, resumable from its last checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from distill.errors import CorpusError
from distill.models.checkpoint import DAMAGE
from distill.models.encoders import ENCODERS
from distill.models.student import Student, StudentSpec
from distill.models.vocabulary import Vocabulary
from distill.training.batches import Batch, Batches, choose
from distill.training.config import TrainConfig
from distill.training.losses import Projections, sequence_loss, supervised_loss
from distill.training.precision import depthwise_in_fp32, precision
from distill.training.schedule import warm_cosine
from distill.training.shards import read_about
from edge.inference.features import FeatureSpec

SAMPLE_BATCHES = 8  # in which mean and spread of the teacher's embeddings are measured


class Learner(nn.Module):
    """A student and what its losses need, as one module: batch in, losses out."""

    def __init__(self, spec: StudentSpec, dim: int, config: TrainConfig) -> None:
        super().__init__()
        self.student = Student(spec)
        self.projections = Projections(ENCODERS[spec.encoder].head, dim)
        self.config = config

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Each loss whose weight is not zero."""
        config, student = self.config, self.student
        memory = student.encoder(batch.features)
        embedding, target = memory.mean(1).float(), batch.embedding
        losses = {}
        if config.supervised:
            logits = student.decoder(memory, batch.tokens[:, :-1]).float()
            losses["supervised"] = supervised_loss(logits, batch.tokens[:, 1:], config.smoothing)
        if config.sequence:
            logits = student.decoder(memory, batch.pseudo[:, :-1]).float()
            losses["sequence"] = sequence_loss(logits, batch.pseudo[:, 1:], config.smoothing)
        if config.mse:
            losses["mse"] = self.projections.mse(embedding, target)
        if config.contrastive:
            losses["contrastive"] = self.projections.contrastive(embedding, target)
        return losses


class Trainer:
    """The learner, its average and its optimiser; what a checkpoint holds."""

    def __init__(self, config: TrainConfig, about: dict[str, Any], dim: int) -> None:
        # What a loss of weight zero would need gets no gradient.
        whole = config.mse and config.contrastive and (config.supervised or config.sequence)
        unused = DistributedDataParallelKwargs(find_unused_parameters=not whole)
        self.accelerator = Accelerator(mixed_precision=precision(), kwargs_handlers=[unused])
        torch.manual_seed(config.seed)
        self.config, self.about = config, about
        self.vocabulary = Vocabulary(about["words"])
        self.spec = StudentSpec(len(self.vocabulary.words), config.student)
        self.learner = Learner(self.spec, dim, config)
        self.learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self.learner.student).to(self.accelerator.device)
        encoder = [*self.learner.student.encoder.parameters()]
        rest = [*self.learner.student.decoder.parameters(), *self.learner.projections.parameters()]
        optimiser = torch.optim.AdamW(
            [
                {"params": encoder, "lr": config.peak_lr * config.encoder_lr_scale},
                {"params": rest, "lr": config.peak_lr},
            ],
            weight_decay=config.weight_decay,
        )
        self.schedule = warm_cosine(optimiser, config.warmup, config.steps)
        self.step = 0
        if self.accelerator.device.type == "cpu":
            depthwise_in_fp32(self.learner)
        self.model, self.optimiser = self.accelerator.prepare(self.learner, optimiser)

    def start_from(self, path: Path) -> None:
        """Take the values at `path`: a student's of the same words, or an encoder's from ImageNet.

        Raises: CorpusError if they are not those of this student.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            if "averaged" not in state:
                self.learner.student.encoder.load_imagenet(state)
            elif state["words"] == self.vocabulary.words:
                self.learner.student.load_state_dict(state["averaged"])
            else:
                raise CorpusError(f"{path}: is a student of another vocabulary")
        except (OSError, *DAMAGE):
            raise CorpusError(f"{path}: holds no values of {self.config.student}") from None
        self.averaged.load_state_dict(self.learner.student.state_dict())

    def update(self, batch: Batch) -> dict[str, float]:
        """One step; returns each loss."""
        self.model.train()
        with self.accelerator.autocast():
            losses = self.model(batch)
        total = sum((getattr(self.config, name) * loss for name, loss in losses.items()), 0.0)
        self.optimiser.zero_grad()
        self.accelerator.backward(total)
        self.accelerator.clip_grad_norm_(self.learner.student.parameters(), 2.0)
        self.optimiser.step()
        self.schedule.step()
        self._average()
        self.step += 1
        return {name: loss.item() for name, loss in losses.items()}

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self.config.ema, (1 + self.step) / (10 + self.step))
        own = self.learner.student.state_dict()
        for name, value in self.averaged.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(own[name], 1.0 - keep)

    def save(self, path: Path) -> None:
        """Write the whole state, first beside `path`, so that an interruption leaves the old."""
        state: dict[str, Any] = {
            "step": self.step,
            "config": asdict(self.config),
            "spec": asdict(self.spec),
            "teacher": self.about["teacher"],
            **{k: self.about[k] for k in ("words", "data", "calibration", "quiet_captions")},
            "features": self.about["features"],
            **{name: part.state_dict() for name, part in self._parts().items()},
        }
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def load(self, path: Path) -> None:
        """Go on from `path`.

        Raises: CorpusError if it is damaged or of another experiment.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            before = state["config"] | {"words": state["words"]}
        except (OSError, *DAMAGE):
            raise CorpusError(f"{path}: is damaged; train into a new folder") from None
        # A run may be made longer; else it would be a mixture of two experiments.
        free = ("steps", "checkpoint_every")
        now = asdict(self.config) | {"words": self.vocabulary.words}
        if other := [key for key in now if key not in free and now[key] != before.get(key)]:
            raise CorpusError(f"{path}: was trained with another {other[0]}; give another folder")
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.step = state["step"]

    def _parts(self) -> dict[str, Any]:
        return {
            "student": self.learner.student,
            "averaged": self.averaged,
            "projections": self.learner.projections,
            "optimiser": self.optimiser,
            "schedule": self.schedule,
        }


def train(
    config: TrainConfig,
    store: Path,
    start: Path | None,
    out: Path,
    say: Callable[[str], None],
) -> Path:
    """Train on the data prepared in `store` into `out`; returns the checkpoint's path."""
    about = read_about(store)
    shares = choose(store, config)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CorpusError(f"{out}: cannot be written ({error.strerror})") from None
    checkpoint = out / "last.pt"
    trainer = Trainer(config, about, shares[0].shard.embedding.shape[1])
    accelerator = trainer.accelerator
    features = FeatureSpec(**about["features"])
    data = Batches(shares, trainer.vocabulary, config, features, accelerator.process_index)
    if checkpoint.exists():
        trainer.load(checkpoint)
        say(f"going on from step {trainer.step}")
    else:
        if start is not None:
            trainer.start_from(start)
        sample = torch.cat([data[i].embedding for i in range(SAMPLE_BATCHES)])
        trainer.learner.projections.measure(sample.to(accelerator.device))
    loader: DataLoader[Batch] = DataLoader(
        data,
        batch_size=None,
        sampler=range(trainer.step, config.steps),
        num_workers=1,
        prefetch_factor=4,
    )
    main = accelerator.is_main_process
    progress = tqdm(
        loader, initial=trainer.step, total=config.steps, mininterval=5, disable=not main
    )
    smooth: dict[str, float] = {}
    with SummaryWriter(out / "tensorboard") as board:
        for batch in progress:
            losses = trainer.update(batch.to(accelerator.device))
            for name, loss in losses.items():
                smooth[name] = 0.98 * smooth.get(name, loss) + 0.02 * loss
            if not main:
                continue
            if trainer.step % 20 == 0:
                progress.set_postfix({k: f"{v:.3f}" for k, v in smooth.items()})
                for name, loss in smooth.items():
                    board.add_scalar(f"loss/{name}", loss, trainer.step)
                board.add_scalar("rate", trainer.schedule.get_last_lr()[1], trainer.step)
            if trainer.step % config.checkpoint_every == 0 or trainer.step == config.steps:
                trainer.save(checkpoint)
    return checkpoint
