"""`aac-bench gate`: thresholds from held-back clips, and what they come to on others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.gate.curve import SHIPS, Heard, picked
from benchmarks.gate.grounds import EVEN, UNEVEN, grounds
from benchmarks.gate.hear import Chance, Stretch, chance, stretch
from benchmarks.gate.page import page, plot
from distill.captions.caption_parser import Reader
from distill.captions.writer import load_wordings
from distill.corpus.dataset import Clip, load_all
from distill.errors import CorpusError
from distill.evaluation.eval_set import held_back_clips
from distill.scenes.noise import NOISES, RATE, trim
from edge.inference.captioner import Captioner, load_captioner
from edge.inference.features import Floats

SPLITS = {"val": 31_277, "test": 88_003}  # and their seeds; thresholds are picked on the first
EACH = 40  # events for one background of each kind


def calibrate(corpus: Path, out: Path, events: int) -> list[Path]:
    """Measure with so many `events` of each split; returns the files that were written to `out`.

    Raises: CorpusError without held-back clips of both splits.
    """
    captioner = load_captioner()
    found: dict[str, tuple[Heard, Sequence[Stretch]]] = {}
    told = {}
    clips = held_back_clips(corpus)
    for split, seed in SPLITS.items():
        chances, stretches = _measure(
            captioner, [c for c in clips if c.split == split], events, seed
        )
        found[split] = Heard(chances, stretches), stretches
        told[split] = {
            "events": [asdict(one) for one in chances],
            "backgrounds": [asdict(one) for one in stretches],
        }
    out.mkdir(parents=True, exist_ok=True)
    picks = picked(found["val"][0])
    files = {
        "gate.md": page(found, picks, SHIPS),
        "gate.svg": plot(found["test"][0], SHIPS) + "\n",
        "windows.json": json.dumps(told),
    }
    for name, text in files.items():
        (out / name).write_text(text, encoding="utf-8")
    return [out / name for name in files]


def _measure(
    captioner: Captioner, clips: list[Clip], events: int, seed: int
) -> tuple[list[Chance], list[Stretch]]:
    """Events over backgrounds, and backgrounds alone, made of `clips`."""
    rng, reader = np.random.default_rng(seed), Reader(load_wordings())
    audio = [_trimmed(samples) for samples in load_all(clips, RATE)]
    by_label: dict[str, list[int]] = {}
    for place, clip in enumerate(clips):
        by_label.setdefault(clip.label, []).append(place)
    recordings = [(clip.label, samples) for clip, samples in zip(clips, audio, strict=True)]
    labels = sorted(by_label.keys() - EVEN - UNEVEN - NOISES.keys() - {"Mains hum", "Sine wave"})
    if not labels:
        raise CorpusError("the corpus holds back no events; build all of it")
    made = list(grounds(recordings, max(1, events // EACH), rng))
    chances = []
    for _ in tqdm(range(events), desc="events", unit="event"):
        place = int(rng.choice(by_label[str(rng.choice(labels))]))
        ground = made[int(rng.integers(len(made)))]
        chances.append(chance(captioner, ground, clips[place], audio[place], reader, rng))
    alone = tqdm(made, desc="backgrounds", unit="background")
    return chances, [stretch(captioner, ground) for ground in alone]


def _trimmed(samples: np.ndarray) -> Floats:
    return trim(samples).astype(np.float32) / np.float32(32768.0)
