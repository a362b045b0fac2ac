"""Stage 1 of the student `mobile`: its encoder learns all that the tagger hears, without labels.

The tagger and the encoder are networks of one shape, and the encoder starts from random values. At
first each block learns by itself to map the tagger's input of that block to the tagger's output;
then the whole encoder learns the tagger's feature maps after every block, its clip embedding (MSE
and contrastive, as in arXiv 2407.14329, section 2) and its 527 class probabilities.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from distill.errors import CorpusError
from distill.models.checkpoint import DAMAGE
from distill.models.mobilenet import MobileEncoder
from distill.teachers.tagger import HOP, N_FFT, Tagger
from distill.training.losses import contrastive_loss
from distill.training.schedule import warm_stable_decay
from distill.training.unlabelled import UnlabelledBatches


@dataclass(frozen=True)
class BreadthConfig:
    """One run; `experiments/breadth.yaml` says what each figure means."""

    seed: int
    steps: int
    batch: int
    frames: int
    blockwise_steps: int
    peak_lr: float
    warmup: int
    decay: int
    weight_decay: float
    maps: float
    last_map: float
    embedding: float
    contrastive: float
    classes: float
    ema: float
    checkpoint_every: int


class BreadthTrainer:
    """The encoder, its average and its optimiser; what a checkpoint holds."""

    def __init__(self, config: BreadthConfig, tagger: Tagger) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.accelerator = Accelerator()
        device = self.accelerator.device
        self.tagger = tagger.to(device)
        self.tagger.features.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.encoder = MobileEncoder()
        _initialise(self.encoder)
        self.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self.encoder).to(device).eval()
        optimiser = torch.optim.AdamW(
            self.encoder.parameters(), config.peak_lr, weight_decay=config.weight_decay
        )
        self.schedule = warm_stable_decay(optimiser, config.warmup, config.decay, config.steps)
        self.encoder, self.optimiser = self.accelerator.prepare(self.encoder, optimiser)
        self.step = 0

    def update(self, audio: Tensor) -> dict[str, float]:
        """Take one step on `audio` (batch, samples at 32 kHz); return each loss."""
        self.encoder.train()
        with torch.no_grad():
            features = self.tagger.log_mel(audio).contiguous(memory_format=torch.channels_last)
            wanted, maps = features, []
            for layer in self.tagger.features:
                wanted = layer(wanted)
                maps.append(wanted)
        if self.step < self.config.blockwise_steps:
            losses = {"maps": self._blockwise(features, maps)}
        else:
            losses = self._end_to_end(features, maps)
        total = sum((getattr(self.config, name) * loss for name, loss in losses.items()), 0.0)
        self.optimiser.zero_grad()
        self.accelerator.backward(total)
        self.accelerator.clip_grad_norm_(self.encoder.parameters(), 5.0)
        self.optimiser.step()
        self.schedule.step()
        self.step += 1
        self._average()
        return {name: loss.item() for name, loss in losses.items()}

    def _blockwise(self, features: Tensor, maps: list[Tensor]) -> Tensor:
        """Each block on the tagger's own inputs, so that all learn from the first step on."""
        inputs = [features, *maps[:-1]]
        pairs = zip(self._layers(), inputs, maps, strict=True)
        return torch.stack([relative_error(layer(x), y) for layer, x, y in pairs]).sum()

    def _end_to_end(self, features: Tensor, maps: list[Tensor]) -> dict[str, Tensor]:
        x, errors = features, []
        for layer, wanted in zip(self._layers(), maps, strict=True):
            x = layer(x)
            errors.append(relative_error(x, wanted))
        own, target = x.mean((2, 3)), maps[-1].mean((2, 3))
        head = self.tagger.classifier[2:]
        scale = torch.tensor(10.0, device=own.device).log()  # a temperature of 0.1
        return {
            "maps": torch.stack(errors[:-1]).sum(),
            "last_map": errors[-1],
            "embedding": F.mse_loss(own, target) / (target.var(0).mean() + 1e-6),
            "contrastive": contrastive_loss(own, target, scale),
            "classes": F.binary_cross_entropy_with_logits(head(own), head(target).sigmoid()),
        }

    def _layers(self) -> nn.Sequential:
        return self.accelerator.unwrap_model(self.encoder).layers

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self.config.ema, self.step / (10 + self.step))
        own = self.accelerator.unwrap_model(self.encoder).state_dict()
        for name, value in self.averaged.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(own[name], 1.0 - keep)
            else:
                value.copy_(own[name])

    def save(self, path: Path) -> None:
        """Write the whole state, first beside `path`, so that an interruption leaves the old."""
        state: dict[str, Any] = {"step": self.step, "config": asdict(self.config)}
        state |= {name: part.state_dict() for name, part in self._parts().items()}
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def load(self, path: Path) -> None:
        """Go on from `path`.

        Raises
        ------
        CorpusError
            If it is damaged.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
            self.step = state["step"]
        except (OSError, *DAMAGE):
            raise CorpusError(f"{path}: is damaged; train into a new folder") from None

    def _parts(self) -> dict[str, Any]:
        return {
            "encoder": self.accelerator.unwrap_model(self.encoder),
            "averaged": self.averaged,
            "optimiser": self.optimiser,
            "schedule": self.schedule,
        }


def relative_error(own: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean squared error of a feature map, re the variance of the one wanted."""
    return F.mse_loss(own, wanted) / (wanted.var() + 1e-6)


def _initialise(encoder: nn.Module) -> None:
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.05


def train_breadth(
    config: BreadthConfig,
    audio: list[NDArray[np.int16]],
    tagger: Tagger,
    out: Path,
    say: Callable[[str], None],
) -> Path:
    """Train on `audio` into `out`, from its last checkpoint if there is one; return its path."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CorpusError(f"{out}: cannot be written ({error.strerror})") from None
    checkpoint = out / "last.pt"
    trainer = BreadthTrainer(config, tagger)
    if checkpoint.exists():
        trainer.load(checkpoint)
        say(f"going on from step {trainer.step}")
    samples = N_FFT + (config.frames - 1) * HOP
    loader: DataLoader[Tensor] = DataLoader(
        UnlabelledBatches(audio, samples, config.batch, config.seed),
        batch_size=None,
        sampler=range(trainer.step, config.steps),
        num_workers=1,
        prefetch_factor=4,
    )
    progress = tqdm(loader, initial=trainer.step, total=config.steps, mininterval=5)
    smooth: dict[str, float] = {}
    with SummaryWriter(out / "tensorboard") as board:
        for batch in progress:
            for name, loss in trainer.update(batch.to(trainer.accelerator.device)).items():
                smooth[name] = 0.98 * smooth.get(name, loss) + 0.02 * loss
            if trainer.step % 20 == 0:
                progress.set_postfix({k: f"{v:.3f}" for k, v in smooth.items()})
                for name, loss in smooth.items():
                    board.add_scalar(f"loss/{name}", loss, trainer.step)
            if trainer.step % config.checkpoint_every == 0 or trainer.step == config.steps:
                trainer.save(checkpoint)
    return checkpoint
