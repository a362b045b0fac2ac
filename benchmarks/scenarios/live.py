"""The loop in real time: what it takes of a core, and how late captions are."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.subjects import load_captioner
from benchmarks.worker import Job, Samples
from distill.captions.caption_parser import Reader, read
from distill.captions.writer import load_wordings
from edge.audio.file import FileSource
from edge.config import StreamConfig
from edge.errors import AacStreamError
from edge.inference.captioner import Captioner
from edge.streaming.pipeline import Caption, StreamingCaptioner


@dataclass(frozen=True)
class Sound:
    """One sound of a recording, known from the table beside it."""

    start_s: float
    end_s: float
    label: str  # one of `distill/captions/wordings.yaml`


@dataclass(frozen=True)
class Shown:
    """A caption, and when it came, in seconds since the recording began to play."""

    caption: Caption
    at_s: float


def begin(job: Job) -> Callable[[], Samples]:
    """Setting: hop_s. A round is one playing of the first `live_s` of the recording."""
    captioner, _ = load_captioner(job.system, threads=1)
    recording = Path(job.options.recording)
    sounds = [s for s in known_sounds(recording) if s.end_s <= job.options.live_s]
    return lambda: _round(captioner, recording, job.setting["hop_s"], job.options.live_s, sounds)


def known_sounds(recording: Path) -> list[Sound]:
    """What the table beside `recording` says: start_s, end_s, heard_as; none if there is none.

    Raises: AacStreamError if it is damaged.
    """
    table = recording.with_suffix(".csv")
    if not table.exists():
        return []
    try:
        with open(table, encoding="utf-8", newline="") as file:
            return [
                Sound(float(row["start_s"]), float(row["end_s"]), row["heard_as"])
                for row in csv.DictReader(file)
            ]
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise AacStreamError(
            f"{table}: {error}; it is to have start_s, end_s and heard_as, a label of "
            "distill/captions/wordings.yaml, of each sound"
        ) from None


def _round(
    captioner: Captioner, recording: Path, hop_s: float, live_s: float, sounds: list[Sound]
) -> Samples:
    source = FileSource(recording, fast=False)
    loop = StreamingCaptioner(source, captioner, StreamConfig(hop_s=hop_s))
    shown = []
    worked, began = time.process_time(), time.monotonic()
    for caption in loop.captions():
        shown.append(Shown(caption, time.monotonic() - began))
        if caption.end_s + hop_s > live_s:
            break
    cpu_share = (time.process_time() - worked) / (time.monotonic() - began)
    source.close()
    stats = loop.stats
    found: Samples = {
        "cpu_share": [cpu_share],
        "delay_ms": [1e3 * (one.at_s - one.caption.end_s) for one in shown],
        "skipped_share": [stats.skipped_windows / (stats.windows + stats.skipped_windows)],
    }
    if sounds:
        waits = sound_to_caption(shown, sounds)
        found["sounds_named"] = [len(waits) / len(sounds)]
        found |= {"sound_to_caption_s": waits} if waits else {}
    return found


def sound_to_caption(shown: list[Shown], sounds: list[Sound]) -> list[float]:
    """Seconds from the start of each of `sounds` to the first caption that names it.

    A sound that no caption of a window with some of it names has none.
    """
    reader = Reader(load_wordings())
    waits = []
    for sound in sounds:
        for one in shown:
            heard = one.caption.start_s < sound.end_s and one.caption.end_s > sound.start_s
            if heard and any(sound.label in c.labels for c in read(reader, one.caption.text)):
                waits.append(one.at_s - sound.start_s)
                break
    return waits
