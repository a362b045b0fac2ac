"""Prepared training data on disk: features, what the teacher makes of them, and captions.

One folder a shard, all of its clips of one length, so that a batch of one shard needs no padding.
A shard is complete or absent.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill.errors import CorpusError

Half = NDArray[np.float16]
ABOUT = "prepared.json"
CLAIM = "making.json"
TEACHER = "teacher.pt"
PSEUDO = "pseudo.json"


@dataclass(frozen=True)
class Shard:
    """Clips of one length; arrays are memory-mapped."""

    features: Half  # (clips, frames, mels)
    embedding: Half  # (clips, dim), the teacher's
    memory: Half  # (clips, length, dim), the teacher's
    captions: list[list[str]]  # for each clip its references; none: audio only
    pseudo: list[str]  # what the teacher writes of each; empty until it has


def shard_folders(store: Path) -> list[Path]:
    """The complete shards of `store`, in order."""
    return sorted(p for p in (store / "shards").glob("*") if p.suffix != ".part")


def write_shard(folder: Path, arrays: dict[str, NDArray[Any]], captions: list[list[str]]) -> None:
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name, array in arrays.items():
        np.save(part / f"{name}.npy", array.astype(np.float16))
    (part / "captions.json").write_text(json.dumps(captions), encoding="utf-8")
    part.rename(folder)


def write_pseudo(folder: Path, captions: list[str]) -> None:
    _write_json(folder / PSEUDO, captions)


def read_shard(folder: Path) -> Shard:
    """Raises: CorpusError if a file of the shard is missing or damaged."""
    try:
        arrays = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r")
            for name in ("features", "embedding", "memory")
        }
        captions = json.loads((folder / "captions.json").read_text(encoding="utf-8"))
        pseudo = folder / PSEUDO
        said = json.loads(pseudo.read_text(encoding="utf-8")) if pseudo.is_file() else []
    except (OSError, ValueError) as error:
        raise CorpusError(f"{folder}: is damaged ({error}); remove it and prepare again") from None
    return Shard(captions=captions, pseudo=said, **arrays)


def read_about(store: Path) -> dict[str, Any]:
    """What `store` was made of.

    Raises: CorpusError if its preparation did not end.
    """
    try:
        return json.loads((store / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise CorpusError(
            f"{store / ABOUT}: no such file; the data is made by aac-distill prepare"
        ) from None


def write_about(store: Path, about: dict[str, Any]) -> None:
    _write_json(store / ABOUT, about)


def claim(store: Path, about: dict[str, Any]) -> None:
    """Make the folder `store` for data as in `about`, or go on with it.

    Raises: CorpusError if it cannot be written, or holds data of another kind.
    """
    path = store / CLAIM
    try:
        (store / "shards").mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _write_json(path, about)
        before = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CorpusError(f"{store}: cannot be written ({error.strerror})") from None
    except ValueError:
        raise CorpusError(f"{path}: is damaged; give another folder") from None
    same = json.loads(json.dumps(about))
    if other := sorted(key for key in same if same[key] != before.get(key)):
        raise CorpusError(f"{store}: was begun with another {other[0]}; give another folder")


def _write_json(path: Path, value: object) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value, indent=1), encoding="utf-8")
    part.replace(path)
