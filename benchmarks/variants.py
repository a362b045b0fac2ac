"""Bundles on backends: size, speed, and how far their captions are from the first's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soxr
from tqdm import tqdm

from benchmarks.stream import machine
from distill.captions import load_wordings
from distill.evaluate import answers, figures
from distill.heldback import Item, items
from distill.listen import Told
from distill.noise import RATE
from distill.readback import Reader
from edge.backends import Backend, load_backend
from edge.bundle import Bundle, load_bundle, size_mb
from edge.captioner import Captioner
from edge.features import Floats, LogMel

SHOWN = {
    "single clips, all labels": "single clips named",
    "scenes: event recall": "event recall",
}
TOKENS = 6  # so many are in the cache as a step is timed
ROUNDS, RUNS = 15, 8


@dataclass
class Row:
    """A bundle on a backend, and what is measured of it."""

    name: str
    backend_name: str
    bundle: Bundle
    backend: Backend
    size_mb: float
    texts: list[str] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    encoder_ms: list[float] = field(default_factory=list)  # one of each round
    token_ms: list[float] = field(default_factory=list)


def variants(
    folders: list[Path], backends: list[str], corpus: Path, scenes: int, window_s: float
) -> str:
    """A table of each of the bundles in `folders` on each of `backends` that can run it.

    The first is what the others' captions are compared with.

    Returns: Markdown. Raises: BundleError, CorpusError.
    """
    rows = [
        row for folder in folders for name in backends if (row := _row(folder, name)) is not None
    ]
    wordings = load_wordings()
    reader = Reader(wordings)
    found = items(corpus, wordings, scenes, kinds=("scene",))
    for row in rows:
        captioner = Captioner(row.bundle, row.backend)
        heard = answers(tqdm(found, desc=f"{row.name}, {row.backend_name}"), _by(captioner), reader)
        measured = figures(heard)
        row.texts = [answer.told.text for answer in heard]
        row.shares = [measured[name].value for name in SHOWN]
    _time(rows, window_s)
    return _table(rows, len(found), window_s)


def _row(folder: Path, name: str) -> Row | None:
    bundle = load_bundle(folder)
    if bundle.format != "onnx" and name != bundle.format:
        return None
    backend = load_backend(name, bundle, threads=1)
    return Row(bundle.precision, name, bundle, backend, size_mb(folder))


def _by(captioner: Captioner) -> Callable[[Item], Told]:
    rate = captioner.bundle.features.sample_rate

    def listen(item: Item) -> Told:
        heard = captioner.describe_audio(soxr.resample(item.audio, RATE, rate, "MQ"))
        return Told("" if heard.quiet else heard.text, heard.confidence, (heard.text,))

    return listen


def _time(rows: list[Row], window_s: float) -> None:
    """Medians of `RUNS` of each row in turn, `ROUNDS` times: a noisy neighbour meets them all."""
    rng = np.random.default_rng(0)
    for _ in tqdm(range(ROUNDS), desc="timing"):
        for row in rows:
            spec = row.bundle.features
            audio = rng.standard_normal(int(window_s * spec.sample_rate)).astype(np.float32)
            features = LogMel(spec)(0.1 * audio)
            memory, past = row.backend.encode(features), row.backend.start()
            for token in range(3, 3 + TOKENS):
                _, past = row.backend.step([token], past, memory)
            row.encoder_ms.append(_median_ms(lambda: row.backend.encode(features)))  # noqa: B023
            row.token_ms.append(_median_ms(lambda: row.backend.step([3], past, memory)))  # noqa: B023


def _median_ms(call: Callable[[], Floats | tuple[Floats, Floats]]) -> float:
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e3


def _table(rows: list[Row], count: int, window_s: float) -> str:
    first = rows[0]
    lines = [
        f"{machine()}. One thread, windows of {window_s:g} s, medians of {ROUNDS} rounds in which "
        f"all take their turn; captions of {count} held-back clips and scenes.",
        "",
        f"| bundle | backend | size | encoder, per window | decoder, per token | captions as "
        f"{first.name}'s | {' | '.join(SHOWN.values())} |",
        f"| --- | --- | ---: | ---: | ---: | ---: | {' | '.join('---:' for _ in SHOWN)} |",
    ]
    for row in rows:
        same = sum(a == b for a, b in zip(row.texts, first.texts, strict=True)) / count
        encoder, token = statistics.median(row.encoder_ms), statistics.median(row.token_ms)
        lines.append(
            f"| {row.name} | {row.backend_name} | {row.size_mb:.1f} MB | {encoder:.1f} ms "
            f"| {token:.2f} ms | {same:.1%} | {' | '.join(f'{s:.1%}' for s in row.shares)} |"
        )
    return "\n".join(lines)
