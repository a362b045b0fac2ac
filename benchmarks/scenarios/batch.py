"""A folder of recordings, each read and captioned as one window, on all cores."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

import soundfile

from benchmarks.subjects import load_captioner
from benchmarks.worker import Job, Samples
from edge.audio.clip import read_clip
from edge.audio.file import AUDIO_SUFFIXES
from edge.errors import AacStreamError
from edge.inference.captioner import Captioner

LONGEST_S = 30.0  # of a recording is captioned
PIECE_S, PIECES = 10.0, 40  # of the recording, where no folder is given


def begin(job: Job) -> Callable[[], Samples]:
    """Setting: workers, each a thread with a captioner of its own."""
    captioners = [
        load_captioner(job.system, threads=1)[0] for _ in range(int(job.setting["workers"]))
    ]
    if not job.options.folder:
        # Removed as the process ends.
        pieces = TemporaryDirectory(prefix="aac-bench-")
        _cut(Path(job.options.recording), Path(pieces.name))
        return lambda: _round(captioners, Path(pieces.name))
    return lambda: _round(captioners, Path(job.options.folder))


def _cut(recording: Path, folder: Path) -> None:
    """Fill `folder` with pieces of `recording`, which begin anywhere in it."""
    samples, rate = soundfile.read(recording, dtype="float32")
    length = int(PIECE_S * rate)
    for number in range(PIECES):
        start = number * max(0, len(samples) - length) // PIECES
        soundfile.write(folder / f"{number}.wav", samples[start : start + length], rate)


def _round(captioners: list[Captioner], folder: Path) -> Samples:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES)
    if not files:
        raise AacStreamError(f"{folder}: holds no recordings")
    idle: SimpleQueue[Captioner] = SimpleQueue()
    for captioner in captioners:
        idle.put(captioner)

    def work(file: Path) -> float:
        captioner = idle.get()
        try:
            rate = captioner.bundle.features.sample_rate
            samples = read_clip(file, rate)[: int(LONGEST_S * rate)]
            captioner.describe_audio(samples)
            return len(samples) / rate
        finally:
            idle.put(captioner)

    began = time.perf_counter()
    with ThreadPoolExecutor(len(captioners)) as pool:
        heard_s = sum(pool.map(work, files))
    return {"audio_s_per_s": [heard_s / (time.perf_counter() - began)]}
