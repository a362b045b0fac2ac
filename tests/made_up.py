"""A made-up corpus, tagger and experiments, small enough to prepare and train within a test."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile
import torch
import yaml
from numpy.typing import NDArray

from distill.cli import main
from distill.scenes.noise import RATE
from distill.teachers.tagger import Tagger
from tests.helpers import ROOT

# Hz; labels that an FFT can tell
PITCH = {"Bark": 400.0, "Cough": 1100.0, "Rain": 7000.0, "Sneeze": 3000.0}
CLIPS = {"train": 2, "val": 1, "test": 1}  # of each label
SMALL: dict[str, dict[str, object]] = {
    "data": {
        "scenes": 6,
        "seconds": [2.0, 2.0],
        "shard": 3,
        "references": 2,
        "teacher_steps": 3,
        "teacher_batch": 4,
        "beam": 2,
    },
    "breadth": {"steps": 3, "batch": 2, "frames": 64, "blockwise_steps": 1, "decay": 1},
    "default": {"steps": 2, "batch": 3, "warmup": 1, "checkpoint_every": 2},
}


def tone(hz: float, seconds: float, rate: int = RATE) -> NDArray[np.float32]:
    t = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def write_corpus(folder: Path) -> Path:
    """Clips of tones, in the layout of a corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "clips.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "kind", "source", "licence", "split"])
        for label, hz in PITCH.items():
            kind, seconds = ("ambience", 3.0) if label == "Rain" else ("event", 0.6)
            for split, count in CLIPS.items():
                for i in range(count):
                    name = f"{label}-{split}-{i}.wav"
                    soundfile.write(folder / name, tone(hz, seconds), RATE)
                    table.writerow([name, label, kind, "made up", "CC0", split])
    return folder


def write_tagger(folder: Path) -> Path:
    """A tagger with random weights: speed and shapes, not sense."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.save(Tagger().state_dict(), folder / "mn04_as_mAP_432.pt")
    return folder


def experiment(folder: Path, name: str, **changes: object) -> Path:
    """The experiment `name` that ships ("data" or "default"), made small and with `changes`."""
    shipped = ROOT / "distill" / "experiments" / f"{name}.yaml"
    values = yaml.safe_load(shipped.read_text(encoding="utf-8")) | SMALL[name] | changes
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def prepare(folder: Path, corpus: Path, tagger: Path, out: Path, *more: str, **data: object) -> int:
    """Run the command, with the experiment in `folder`; returns its exit code."""
    config = experiment(folder, "data", **data)
    places = ["--corpus", str(corpus), "--teacher", str(tagger), "--out", str(out)]
    return main(["prepare", str(config), *places, *more])


def state(store: Path) -> dict[str, tuple[int, int]]:
    """Every file of `store`, and which one it is: none may be written again."""
    files = [p for p in store.rglob("*") if p.is_file() and p.name != "prepared.json"]
    return {str(p.relative_to(store)): (p.stat().st_ino, p.stat().st_mtime_ns) for p in files}


def the_line(err: str, command: str = "aac-distill: ") -> str:
    """What a command that failed says: all of `err` but progress bars, and a single line."""
    lines = [line for line in err.replace("\r", "\n").split("\n") if line.strip()]
    said = [line for line in lines if "%|" not in line]
    assert len(said) == 1, lines
    assert said[0].startswith(command)
    return said[0].removeprefix(command)
