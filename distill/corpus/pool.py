"""`aac-distill corpus pool`: varied audio without labels, on which a teacher is distilled.

The pool takes audio files of the Debian packages in `pool.csv`, whatever they hold: speech in many
languages, music, ambiences, effects. No label is claimed. Each package gives two files: its audio,
as 16-bit samples one excerpt after the other, and what the teacher makes of each window.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from distill.corpus.cutting import RATE, fault
from distill.corpus.debian import need_apt, unpack
from distill.corpus.tables import AUDIO
from distill.errors import CorpusError
from distill.teachers.tagger import Tagger
from edge.audio.clip import read_clip
from edge.errors import AudioError

EXCERPT_S = 30.0  # the longest excerpt
EXCERPTS = 4  # of one file, spread evenly over it
SHORTEST_S = 0.3
PACKAGE_S = 3600.0  # of one package at most, so that none dominates
WINDOW = 5 * RATE  # samples of a window that the teacher is asked about
BATCH = 16  # windows at once


@dataclass(frozen=True)
class Excerpt:
    """A piece of the pool: where it is from, and where it lies in its package's audio."""

    package: str
    source_path: str  # within the package
    start_s: float  # within that file
    offset: int  # first sample in audio/PACKAGE.i16
    samples: int  # at 32 kHz


@dataclass(frozen=True)
class Pool:
    """The pool on disk."""

    excerpts: list[Excerpt]
    audio: list[NDArray[np.int16]]  # of each excerpt; mapped from disk, not in memory


def packages() -> list[str]:
    """Return the packages that `pool.csv` lists."""
    with open(Path(__file__).with_name("pool.csv"), newline="", encoding="utf-8") as file:
        return [row["package"] for row in csv.DictReader(file)]


def build_pool(
    names: list[str],
    hours: float,
    out: Path,
    cache: Path,
    tagger: Tagger,
    say: Callable[[str], None],
) -> Pool:
    """Gather up to `hours` of audio from the packages `names` into `out`; resumable by package.

    A package that cannot be had is named and left out.

    Raises
    ------
    CorpusError
        If apt is missing or `out` cannot be written.
    """
    need_apt()
    try:
        for folder in ("audio", "teacher"):
            (out / folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CorpusError(f"{error.filename}: cannot be written ({error.strerror})") from None

    def fetch(name: str) -> Path | None:
        try:
            return unpack(name, "", cache)[0]
        except CorpusError as error:
            say(f"left out: {error}")
            return None

    left_s = hours * 3600.0
    seen: set[str] = set()
    with (
        ThreadPoolExecutor(4) as threads,
        ProcessPoolExecutor(os.cpu_count()) as processes,
        open(out / "pool.csv.part", "w", newline="", encoding="utf-8") as file,
    ):
        table = csv.DictWriter(file, [field.name for field in fields(Excerpt)])
        table.writeheader()
        trees = zip(names, threads.map(fetch, names), strict=True)
        for name, tree in tqdm(trees, total=len(names), desc="pool", unit="package"):
            if tree is None or left_s <= 0.0:
                continue
            most_s = min(PACKAGE_S, left_s)
            excerpts = _package(name, tree, most_s, out, seen, processes)
            table.writerows(asdict(excerpt) for excerpt in excerpts)
            left_s -= sum(excerpt.samples for excerpt in excerpts) / RATE
            _ask_teacher(name, excerpts, out, tagger)
    (out / "pool.csv.part").replace(out / "pool.csv")
    return read_pool(out)


def read_pool(folder: Path) -> Pool:
    """Open the pool in `folder`.

    Raises
    ------
    CorpusError
        If there is none.
    """
    try:
        with open(folder / "pool.csv", newline="", encoding="utf-8") as file:
            excerpts = [_excerpt(row) for row in csv.DictReader(file)]
    except OSError as error:
        raise CorpusError(f"{folder}: holds no pool ({error.strerror})") from None
    names = dict.fromkeys(excerpt.package for excerpt in excerpts)
    whole = {n: np.memmap(folder / "audio" / f"{n}.i16", np.int16, "r") for n in names}
    audio = [whole[e.package][e.offset : e.offset + e.samples] for e in excerpts]
    return Pool(excerpts, audio)


def _excerpt(row: dict[str, str]) -> Excerpt:
    start_s, offset, samples = float(row["start_s"]), int(row["offset"]), int(row["samples"])
    return Excerpt(row["package"], row["source_path"], start_s, offset, samples)


def _package(
    name: str, tree: Path, most_s: float, out: Path, seen: set[str], processes: ProcessPoolExecutor
) -> list[Excerpt]:
    """The excerpts of the package `name`; what an earlier run wrote is read back."""
    record = out / "audio" / f"{name}.csv"
    if not record.is_file():
        part = out / "audio" / f"{name}.i16"
        with open(part, "wb") as file, open(f"{record}.part", "w", newline="") as rows:
            table = csv.DictWriter(rows, [field.name for field in fields(Excerpt)])
            table.writeheader()
            for excerpt, samples in _decode(name, tree, most_s, seen, processes):
                file.write(samples.tobytes())
                table.writerow(asdict(excerpt))
        Path(f"{record}.part").replace(record)
    with open(record, newline="", encoding="utf-8") as file:
        return [_excerpt(row) for row in csv.DictReader(file)]


def _decode(
    name: str, tree: Path, most_s: float, seen: set[str], processes: ProcessPoolExecutor
) -> Iterator[tuple[Excerpt, NDArray[np.int16]]]:
    """Excerpts of `tree`, in an order that mixes its folders, up to `most_s` seconds."""
    found = [p for p in tree.rglob("*") if p.suffix.lower() in AUDIO and p.is_file()]
    found = [path for path in found if not path.is_symlink()]
    found.sort(key=lambda p: hashlib.sha256(str(p.relative_to(tree)).encode()).digest())
    offset, most = 0, int(most_s * RATE)
    # In chunks, so that a package with thousands of files is not decoded for nothing.
    for begin in range(0, len(found), 32):
        for path, pieces in zip(
            found[begin : begin + 32],
            processes.map(_read, found[begin : begin + 32]),
            strict=True,
        ):
            for start_s, samples in pieces:
                print_ = hashlib.sha256(samples.tobytes()).hexdigest()
                if print_ in seen or offset >= most:
                    continue
                seen.add(print_)
                inside = path.relative_to(tree).as_posix()
                yield Excerpt(name, inside, start_s, offset, len(samples)), samples
                offset += len(samples)
        if offset >= most:
            return


def _read(path: Path) -> list[tuple[float, NDArray[np.int16]]]:
    """Starts in seconds and samples of the excerpts of one file; none if it is of no use."""
    try:
        audio = read_clip(path, RATE)
    except AudioError:
        return []
    size = int(EXCERPT_S * RATE)
    count = max(1, min(EXCERPTS, len(audio) // size))
    pieces = []
    for start in np.linspace(0, max(0, len(audio) - size), count).astype(int):
        piece = audio[start : start + size]
        if len(piece) >= SHORTEST_S * RATE and fault(piece) in ("", "clipped"):
            samples = (np.clip(piece, -1.0, 1.0) * 32767.0).astype(np.int16)
            pieces.append((round(float(start) / RATE, 3), samples))
    return pieces


def _ask_teacher(name: str, excerpts: list[Excerpt], out: Path, tagger: Tagger) -> None:
    """Store the teacher's embedding and logits of each whole or last window, as float16."""
    path = out / "teacher" / f"{name}.npz"
    if path.is_file() or not excerpts:
        return
    audio = np.memmap(out / "audio" / f"{name}.i16", np.int16, "r")
    starts = [
        (number, start)
        for number, e in enumerate(excerpts)
        for start in range(0, max(1, e.samples - WINDOW // 2), WINDOW)
    ]
    embeddings, logits = [], []
    for begin in range(0, len(starts), BATCH):
        batch = np.zeros((len(starts[begin : begin + BATCH]), WINDOW), np.float32)
        for row, (number, start) in zip(batch, starts[begin : begin + BATCH], strict=True):
            e = excerpts[number]
            piece = audio[e.offset + start : e.offset + min(e.samples, start + WINDOW)]
            row[: len(piece)] = piece.astype(np.float32) / 32768.0
        with torch.inference_mode():
            embedding, classes = tagger(torch.from_numpy(batch))
        embeddings.append(embedding.numpy().astype(np.float16))
        logits.append(classes.numpy().astype(np.float16))
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        np.savez(
            file,
            excerpt=np.array([number for number, _ in starts]),
            start=np.array([start for _, start in starts]),
            embedding=np.concatenate(embeddings),
            logits=np.concatenate(logits),
        )
    part.replace(path)
