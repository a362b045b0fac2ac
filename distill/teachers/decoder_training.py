"""Trains the decoder of `audioset-trm` on what its tagger hears in captioned clips."""

from __future__ import annotations

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from tqdm import tqdm

from distill.teachers.audioset_trm import AudioSetTrm
from distill.training.config import DataConfig
from distill.training.losses import supervised_loss
from distill.training.precision import precision
from distill.training.schedule import warm_cosine
from distill.training.shards import Shard


def train_decoder(
    teacher: AudioSetTrm, shards: list[Shard], config: DataConfig, device: torch.device
) -> None:
    """Fit the decoder to the memories and captions of `shards`."""
    accelerator = Accelerator(mixed_precision=precision())
    torch.manual_seed(config.seed)
    decoder = teacher.decoder.to(device).train()
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=config.teacher_lr, weight_decay=0.02)
    schedule = warm_cosine(optimiser, min(200, config.teacher_steps), config.teacher_steps)
    usable = [shard for shard in shards if any(shard.captions)]
    shares = np.array([len(shard.captions) for shard in usable], float)
    rng = np.random.default_rng([config.seed, 4])
    length = decoder.spec.max_tokens + 1
    with tqdm(range(config.teacher_steps), desc="teacher's decoder", mininterval=5) as bar:
        for step in bar:
            shard = usable[int(rng.choice(len(usable), p=shares / shares.sum()))]
            chosen = [
                int(i)
                for i in rng.integers(len(shard.captions), size=config.teacher_batch)
                if shard.captions[i]
            ]
            said = [str(rng.choice(shard.captions[i])) for i in chosen]
            tokens = teacher.vocabulary.batch(said, length).to(device)
            memory = torch.from_numpy(shard.memory[chosen].astype(np.float32)).to(device)
            with accelerator.autocast():
                logits = decoder(memory, tokens[:, :-1]).float()
            loss = supervised_loss(logits, tokens[:, 1:], config.teacher_smoothing)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(decoder.parameters(), 2.0)
            optimiser.step()
            schedule.step()
            if step % 20 == 0:
                bar.set_postfix(loss=f"{loss.item():.3f}")
    decoder.eval()
