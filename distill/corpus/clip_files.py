"""From recordings to clip files: read, cut, check, fingerprint, write; each recording once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile

from distill.corpus.cutting import RATE, Excerpt, cut, fault
from distill.corpus.fingerprint import Bits, fingerprint
from distill.corpus.instruments import Synth, phrase
from distill.corpus.sources import OWN, Recording
from distill.corpus.synthetic import synthesise
from distill.corpus.tables import Instrument
from edge.audio.clip import read_clip
from edge.errors import AudioError
from edge.inference.features import Floats

PEAK = 0.9  # of the clips that were louder; none is made louder


@dataclass(frozen=True)
class Piece:
    """A clip on disk, or the reason why there is none."""

    id: str
    start_s: float
    duration_s: float
    fault: str  # "" for a clip of use


@dataclass(frozen=True)
class Job:
    """All that a process needs to make the clips of one recording."""

    recording: Recording
    out: Path
    instrument: Instrument | None = None
    synth: Synth | None = None


def identity(recording: Recording) -> str:
    """A name for `recording` that another build gives it too."""
    text = "\0".join(
        [recording.source, recording.source_path, str(recording.number), f"{recording.start_s:g}"]
    )
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def make_clips(jobs: list[Job], processes: int) -> Iterator[tuple[Recording, list[Piece]]]:
    """The clips of each recording, as they are done; what an earlier run made is read back."""
    with ProcessPoolExecutor(processes) as pool:
        yield from zip((j.recording for j in jobs), pool.map(_make, jobs, chunksize=8), strict=True)


def clip_path(out: Path, piece: Piece) -> Path:
    return out / "audio" / piece.id[:2] / f"{piece.id}.ogg"


def read_print(out: Path, piece: Piece) -> Bits:
    """The fingerprint of a clip."""
    return np.asarray(np.load(out / "work" / f"{piece.id}.npy"), np.uint32)


def _make(job: Job) -> list[Piece]:
    name = identity(job.recording)
    record = job.out / "work" / f"{name}.{job.recording.excerpts}.json"
    if record.is_file():
        return [Piece(**piece) for piece in json.loads(record.read_text(encoding="utf-8"))]
    try:
        audio = _read(job)
    except AudioError:
        pieces = [Piece(name, 0.0, 0.0, "unreadable")]
    else:
        pieces = [_write(job.out, f"{name}-{e.start_s:.0f}", e.start_s, e.audio) for e in audio]
    part = record.with_suffix(".part")
    part.write_text(json.dumps([asdict(piece) for piece in pieces]), encoding="utf-8")
    part.replace(record)  # at the end: its presence says that the clips are whole
    return pieces


def _read(job: Job) -> list[Excerpt]:
    recording = job.recording
    if recording.file is not None:
        audio = read_clip(recording.file, RATE)
        if recording.take_s:
            start = int(recording.start_s * RATE)
            audio = audio[start : start + int(recording.take_s * RATE)]
        return cut(audio, recording.excerpts)
    if recording.source == OWN:
        return cut(synthesise(recording.label, recording.number))
    assert job.synth is not None
    assert job.instrument is not None
    return cut(job.synth.play(phrase(job.instrument, recording.number)))[:1]


def _write(out: Path, name: str, start_s: float, audio: Floats) -> Piece:
    reason = fault(audio)
    piece = Piece(name, round(start_s, 3), round(len(audio) / RATE, 3), reason)
    if not reason:
        path = clip_path(out, piece)
        path.parent.mkdir(parents=True, exist_ok=True)
        audio = audio * min(1.0, PEAK / float(np.abs(audio).max()))
        with soundfile.SoundFile(path, "w", RATE, 1, "VORBIS", format="OGG") as file:
            for begin in range(0, len(audio), RATE):  # libsndfile crashes on long writes
                file.write(audio[begin : begin + RATE])
        np.save(out / "work" / f"{name}.npy", fingerprint(audio))
    return piece
