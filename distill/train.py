"""Training of the student, resumable from its last checkpoint."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import soxr
import torch
import yaml
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from distill.corpus import Clip, CorpusError, load_all, read_clips
from distill.grammar import QUIET, Grammar, load_grammar
from distill.losses import EncoderDistillation, caption_loss
from distill.scenes import RATE, SceneMaker
from distill.teacher import EMBEDDING_DIM, Tagger, load_tagger
from distill.vocabulary import Vocabulary
from edge.features import FeatureSpec, LogMel
from export.student import HEAD, Student, StudentSpec

CALIBRATION_CLIPS = 200  # that show int8 the range of real values

FEATURES = FeatureSpec(
    sample_rate=16_000,
    window=512,  # 32 ms
    hop=160,  # 10 ms
    n_mels=64,
    f_min=0.0,
    f_max=8000.0,
    floor=1e-10,
    mean=-24.0,  # of training scenes, rounded
    std=19.0,
)


@dataclass(frozen=True)
class TrainConfig:
    """One experiment; `first.yaml` says what each figure means."""

    seed: int
    steps: int
    batch: int
    seconds: tuple[float, float]
    peak_lr: float
    encoder_lr_scale: float
    warmup: int
    weight_decay: float
    ema: float
    smoothing: float
    contrastive: float
    mse: float
    mask_bands: int
    mask_frames: int
    checkpoint_every: int


def read_config(path: Path) -> TrainConfig:
    """The experiment in `path`.

    Raises: CorpusError if a key is missing or unknown.
    """
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    odd = {field.name for field in fields(TrainConfig)} ^ set(values)
    if odd:
        raise CorpusError(f"{path}: missing or unknown: {', '.join(sorted(odd))}")
    return TrainConfig(**values)


@dataclass(frozen=True)
class Batch:
    features: Tensor  # (batch, frames, mels)
    audio: Tensor  # (batch, samples at the teacher's rate)
    tokens: Tensor  # (batch, max_tokens + 1)


class Batches(Dataset[Batch]):
    """Batch `i` of a run, made on the fly; the same for the same seed."""

    def __init__(self, maker: SceneMaker, vocabulary: Vocabulary, config: TrainConfig) -> None:
        self._maker, self._vocabulary, self._config = maker, vocabulary, config
        self._log_mel = LogMel(FEATURES)

    def __len__(self) -> int:
        return self._config.steps

    def __getitem__(self, step: int) -> Batch:
        config = self._config
        rng = np.random.default_rng([config.seed, 1, step])
        # In half seconds: each new shape costs the CPU backend a compilation.
        seconds = round(2.0 * rng.uniform(*config.seconds)) / 2.0
        scenes = [self._maker.scene(step * config.batch + i, seconds) for i in range(config.batch)]
        features = []
        for scene in scenes:
            frames = self._log_mel(soxr.resample(scene.audio, RATE, FEATURES.sample_rate, "MQ"))
            # A microphone colours what it hears; blanked spans make the student use all of it.
            for axis, most in ((0, config.mask_frames), (1, config.mask_bands)):
                span = int(rng.integers(most + 1))
                start = int(rng.integers(frames.shape[axis] - span))
                frames[(slice(None),) * axis + (slice(start, start + span),)] = frames.mean()
            features.append(frames)
        length = StudentSpec(0).max_tokens + 1
        tokens = [self._vocabulary.encode(scene.caption, length) for scene in scenes]
        return Batch(
            torch.from_numpy(np.stack(features)),
            torch.from_numpy(np.stack([scene.audio for scene in scenes])),
            torch.tensor(tokens),
        )


class Trainer:
    """The student, its losses and its optimiser; what a checkpoint holds."""

    def __init__(
        self,
        config: TrainConfig,
        vocabulary: Vocabulary,
        teacher: Tagger,
        about: dict[str, Any],
    ) -> None:
        torch.manual_seed(config.seed)
        self.config, self.vocabulary, self.teacher = config, vocabulary, teacher
        self.about = about  # what export needs to know beside the weights
        self.spec = StudentSpec(len(vocabulary.words))
        self.student = Student(self.spec)
        self.student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.distillation = EncoderDistillation(HEAD, EMBEDDING_DIM, 1024)
        self.step = 0
        self.averaged = copy.deepcopy(self.student)
        rest = [*self.student.decoder.parameters(), *self.distillation.parameters()]
        encoder = [*self.student.encoder.parameters()]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": encoder, "lr": config.peak_lr * config.encoder_lr_scale},
                {"params": rest, "lr": config.peak_lr},
            ],
            weight_decay=config.weight_decay,
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, self._rate)

    def _rate(self, step: int) -> float:
        """Linear warm-up, then half a cosine to a hundredth."""
        config = self.config
        if step < config.warmup:
            return (step + 1) / config.warmup
        done = min(1.0, (step - config.warmup) / max(1, config.steps - config.warmup))
        return 0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * done))

    def start_from_imagenet(self, path: Path) -> None:
        """Give the encoder the values of the checkpoint at `path`.

        Raises: CorpusError if they are not those of an EfficientNet-Lite0.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.student.encoder.load_imagenet(state)
        except (OSError, RuntimeError, EOFError, UnpicklingError, ValueError):
            raise CorpusError(f"{path}: holds no values of an EfficientNet-Lite0") from None
        self.averaged = copy.deepcopy(self.student)

    def scale_teacher(self, batches: list[Batch]) -> None:
        """Measure the mean and spread of the teacher's embeddings for the MSE loss."""
        with torch.inference_mode():
            embeddings = torch.cat([self.teacher(batch.audio)[0] for batch in batches])
        self.distillation.mean.copy_(embeddings.mean(0))
        self.distillation.std.copy_(embeddings.std(0) + 0.05)

    def update(self, batch: Batch) -> dict[str, float]:
        """One step; returns each loss."""
        self.student.train()
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                target, _ = self.teacher(batch.audio)
            logits, embedding = self.student(batch.features, batch.tokens[:, :-1])
        target, embedding = target.float(), embedding.float()
        losses = {
            "caption": caption_loss(logits.float(), batch.tokens[:, 1:], self.config.smoothing),
            "contrastive": self.distillation.contrastive(embedding, target),
            "mse": self.distillation.mse(embedding, target),
        }
        total = (
            losses["caption"]
            + self.config.contrastive * losses["contrastive"]
            + self.config.mse * losses["mse"]
        )
        self.optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.student.parameters(), 2.0)
        self.optimiser.step()
        self.schedule.step()
        self._average()
        self.step += 1
        return {name: loss.item() for name, loss in losses.items()}

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self.config.ema, (1 + self.step) / (10 + self.step))
        own = self.student.state_dict()
        for name, value in self.averaged.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(own[name], 1.0 - keep)

    def save(self, path: Path) -> None:
        """Write the whole state, first beside `path`, so that an interruption leaves the old."""
        state: dict[str, Any] = {
            "step": self.step,
            "config": asdict(self.config),
            "spec": asdict(self.spec),
            "words": self.vocabulary.words,
            **self.about,
            "features": asdict(FEATURES),
            **{name: part.state_dict() for name, part in self._parts().items()},
        }
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def load(self, path: Path) -> None:
        """Go on from `path`.

        Raises: CorpusError if it is damaged or of another vocabulary.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, UnpicklingError):
            raise CorpusError(f"{path}: is damaged; train into a new folder") from None
        if state["words"] != self.vocabulary.words:
            raise CorpusError(f"{path}: has another vocabulary; train into a new folder")
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.step = state["step"]

    def _parts(self) -> dict[str, Any]:
        return {
            "student": self.student,
            "averaged": self.averaged,
            "distillation": self.distillation,
            "optimiser": self.optimiser,
            "schedule": self.schedule,
        }


def about(clips: list[Clip], grammar: Grammar) -> dict[str, Any]:
    """What goes with a model that learns from `clips`: whom it owes them, and what export needs."""
    counts = Counter((clip.source, clip.licence) for clip in clips)
    return {
        "data": {
            "clips": len(clips),
            "sources": [
                {"source": source, "licence": licence, "clips": count}
                for (source, licence), count in sorted(counts.items())
            ],
        },
        "quiet_captions": grammar.clauses[QUIET],
        "calibration": [
            str(clip.path) for clip in clips[:: max(1, len(clips) // CALIBRATION_CLIPS)]
        ],
    }


def train(
    config: TrainConfig,
    corpus: Path,
    teacher: Path,
    imagenet: Path | None,
    out: Path,
    say: Callable[[str], None],
) -> Path:
    """Train on the `train` split of `corpus` into `out`; returns the checkpoint's path."""
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "last.pt"
    grammar = load_grammar()
    vocabulary = Vocabulary(grammar.words())
    clips = [clip for clip in read_clips(corpus) if clip.split == "train"]
    say(f"loading {len(clips)} clips of {len({c.label for c in clips})} labels")
    maker = SceneMaker(clips, load_all(clips, RATE), grammar, config.seed)
    data = Batches(maker, vocabulary, config)
    trainer = Trainer(config, vocabulary, load_tagger(teacher), about(clips, grammar))
    if checkpoint.exists():
        trainer.load(checkpoint)
        say(f"going on from step {trainer.step}")
    else:
        if imagenet is not None:
            trainer.start_from_imagenet(imagenet)
        trainer.scale_teacher([data[i] for i in range(8)])
    todo = range(trainer.step, config.steps)
    loader: DataLoader[Batch] = DataLoader(
        data, batch_size=None, sampler=todo, num_workers=1, prefetch_factor=4
    )
    smooth: dict[str, float] = {}
    progress = tqdm(loader, initial=trainer.step, total=config.steps, mininterval=5)
    for batch in progress:
        for name, loss in trainer.update(batch).items():
            smooth[name] = 0.98 * smooth.get(name, loss) + 0.02 * loss
        if trainer.step % 20 == 0:
            progress.set_postfix({k: f"{v:.3f}" for k, v in smooth.items()})
        if trainer.step % config.checkpoint_every == 0 or trainer.step == config.steps:
            trainer.save(checkpoint)
    return checkpoint
