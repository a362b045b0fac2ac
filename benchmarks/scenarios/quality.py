"""What a system says: of held-back clips and scenes, or else of the windows of the recording."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import soxr

from benchmarks.subjects import load_captioner
from benchmarks.worker import Job, Samples
from edge.audio.clip import read_clip
from edge.inference.captioner import Captioner

WINDOW_S, HOP_S = 5.0, 0.5  # of the recording
# Of `aac-distill evaluate`; the last ones as far as their packages are installed.
FIGURES = {
    "single clips, all labels": "clips_named",
    "scenes: event recall": "event_recall",
    "scenes: event precision": "event_precision",
    "scenes: sentence similarity": "similarity",
    "scenes: cider_d": "cider_d",
    "scenes: meteor": "meteor",
    "scenes: spice": "spice",
    "scenes: spider": "spider",
}


def begin(job: Job) -> Callable[[], Samples]:
    """No setting."""
    captioner, _ = load_captioner(job.system, threads=1)
    if job.options.corpus:
        return lambda: _examined(captioner, Path(job.options.corpus), job.options.scenes)
    return lambda: {"texts": _windows(captioner, Path(job.options.recording))}


def _windows(captioner: Captioner, recording: Path) -> list[str]:
    rate = captioner.bundle.features.sample_rate
    audio = read_clip(recording, rate)
    window, hop = int(WINDOW_S * rate), int(HOP_S * rate)
    starts = range(0, max(1, len(audio) - window + 1), hop)
    return [captioner.describe_audio(audio[start : start + window]).text for start in starts]


def _examined(captioner: Captioner, corpus: Path, scenes: int) -> Samples:
    """The figures of `aac-distill evaluate`, each item as one window."""
    from distill.captions.caption_parser import Reader
    from distill.captions.writer import load_wordings
    from distill.evaluation.eval_set import Item, items
    from distill.evaluation.evaluate import answers, figures
    from distill.evaluation.inference import Told
    from distill.scenes.noise import RATE

    rate, texts = captioner.bundle.features.sample_rate, []

    def listen(item: Item) -> Told:
        heard = captioner.describe_audio(soxr.resample(item.audio, RATE, rate, "MQ"))
        texts.append(heard.text)
        return Told("" if heard.quiet else heard.text, heard.confidence, (heard.text,))

    wordings = load_wordings()
    found = items(corpus, wordings, scenes, kinds=("scene",))
    measured = figures(answers(found, listen, Reader(wordings)))
    values = {key: [measured[name].value] for name, key in FIGURES.items() if name in measured}
    return {"texts": texts, **values}
