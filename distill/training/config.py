"""Experiments as YAML: one dataclass a kind of file, every key needed, none unknown."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

import yaml

from distill.errors import CorpusError
from distill.models.encoders import ENCODERS

T = TypeVar("T")


@dataclass(frozen=True)
class DataConfig:
    """What `aac-distill prepare` makes; `experiments/data.yaml` says what each figure means."""

    seed: int
    scenes: int
    seconds: tuple[float, float]
    shard: int
    references: int
    teacher_steps: int
    teacher_batch: int
    teacher_lr: float
    teacher_smoothing: float
    beam: int


@dataclass(frozen=True)
class TrainConfig:
    """One student; `experiments/default.yaml` says what each figure means."""

    seed: int
    student: str
    steps: int
    batch: int
    captioned: float
    audio_only: float
    supervised: float
    sequence: float
    mse: float
    contrastive: float
    smoothing: float
    peak_lr: float
    encoder_lr_scale: float
    warmup: int
    weight_decay: float
    ema: float
    gain_db: float
    tilt_db: float
    mask_bands: int
    mask_frames: int
    checkpoint_every: int


def read_config(path: Path, kind: type[T]) -> T:
    """The experiment in `path`.

    Raises: CorpusError if it cannot be read, or a key is missing, unknown or of another type.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise CorpusError(f"{path}: is not YAML") from None
    if not isinstance(values, dict):
        raise CorpusError(f"{path}: holds no keys")
    known = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]
    if odd := known.keys() ^ values.keys():
        raise CorpusError(f"{path}: missing or unknown: {', '.join(sorted(map(str, odd)))}")
    for name, value in values.items():
        if not _fits(value, known[name]):
            raise CorpusError(f"{path}: {name} is {value!r}, not a {known[name]}")
    if values.get("student", "efflite") not in ENCODERS:
        raise CorpusError(f"{path}: student is one of {', '.join(ENCODERS)}")
    return kind(**values)


def _fits(value: object, kind: str) -> bool:
    if kind == "str":
        return isinstance(value, str)
    if kind.startswith("tuple"):
        return isinstance(value, list) and len(value) == 2 and all(_fits(v, "float") for v in value)
    numbers = (int,) if kind == "int" else (int, float)
    return isinstance(value, numbers) and not isinstance(value, bool)
