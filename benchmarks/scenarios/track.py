"""The caption track on scenes with known times: how late, how true, how steady."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soxr

from benchmarks.options import Options
from benchmarks.scenarios.live import Sound, known_sounds
from benchmarks.subjects import load_captioner
from benchmarks.worker import Job, Samples
from distill.captions.caption_parser import Reader, read
from distill.captions.writer import load_wordings
from distill.evaluation.memory_source import Recorded
from edge.audio.clip import read_clip
from edge.config import StreamConfig
from edge.inference.captioner import Captioner
from edge.inference.features import Floats
from edge.streaming.event_tracker import Event, EventTracker, EventTrackerSpec
from edge.streaming.pipeline import Caption, StreamingCaptioner

BEFORE_S, SCENE_S, AFTER_S = 6.0, 15.0, 8.0  # quiet, a scene, quiet
QUIET_DB = -72.0  # of the noise around a scene, re full scale
SEED = 60_221  # no scene of training has it


@dataclass(frozen=True)
class Scene:
    """Audio at the model's rate, and what sounds in it."""

    audio: Floats
    sounds: list[Sound]


def begin(job: Job) -> Callable[[], Samples]:
    """Setting: window_s, hop_s, evidence_s. Scenes of the corpus, or else the recording."""
    captioner, _ = load_captioner(job.system, threads=1)
    rate = captioner.bundle.features.sample_rate
    scenes = scenes_of(job.options, rate)
    setting = job.setting
    config = StreamConfig(window_s=setting["window_s"], hop_s=setting["hop_s"])
    spec = EventTrackerSpec(evidence_s=setting["evidence_s"])
    return lambda: measured(captioner, scenes, config, spec)


def scenes_of(options: Options, rate: int) -> list[Scene]:
    """Scenes of the corpus, or else the recording."""
    if options.corpus:
        return _simulated(Path(options.corpus), options.scenes, rate)
    recording = Path(options.recording)
    return [Scene(read_clip(recording, rate), known_sounds(recording))]


def _simulated(corpus: Path, count: int, rate: int) -> list[Scene]:
    """Scenes of held-back clips, one or two sounds each."""
    from distill.corpus.dataset import load_all
    from distill.evaluation.eval_set import held_back_clips
    from distill.scenes.noise import RATE
    from distill.scenes.simulator import SceneSpec, Simulator

    clips = held_back_clips(corpus)
    spec = SceneSpec(quiet_share=0.0, noise_share=0.0, events=(0.7, 0.3, 0.0, 0.0))
    simulator = Simulator(clips, load_all(clips, RATE), replace(spec, ambience_share=0.0), SEED)
    rng = np.random.default_rng(SEED)
    scenes = []
    for number in range(count):
        scene = simulator.scene(number, SCENE_S)
        parts = [_quiet(rng, BEFORE_S, RATE), scene.audio, _quiet(rng, AFTER_S, RATE)]
        audio = soxr.resample(np.concatenate(parts), RATE, rate, "MQ").astype(np.float32)
        sounds = [
            Sound(BEFORE_S + event.start_s, BEFORE_S + event.end_s, event.label)
            for event in scene.truth.events
        ]
        scenes.append(Scene(audio, sounds))
    return scenes


def _quiet(rng: np.random.Generator, seconds: float, rate: int) -> Floats:
    noise = rng.standard_normal(round(seconds * rate), np.float32)
    return np.float32(10.0 ** (QUIET_DB / 20.0)) * noise


def measured(
    captioner: Captioner, scenes: Sequence[Scene], config: StreamConfig, spec: EventTrackerSpec
) -> Samples:
    """How what the loop and the track say of `scenes` compares with what sounds there."""
    rate, reader = captioner.bundle.features.sample_rate, Reader(load_wordings())
    found: Samples = {"sound_to_event_s": [], "start_error_s": [], "end_error_s": []}
    sounds = named = events = true = lines = changes = 0
    minutes = 0.0
    for scene in scenes:
        loop = StreamingCaptioner(Recorded(scene.audio, rate), captioner, config)
        captions = list(loop.captions())
        told = list(_told(captions, config.hop_s, spec))
        closed = {event.number: event for _, event in told if not event.open}
        right = [_truth(reader, event, scene.sounds) for event in closed.values()]
        events += len(right)
        true += sum(sound is not None for sound in right)
        sounds += len(scene.sounds)
        minutes += len(scene.audio) / rate / 60.0
        lines += sum(event.open for _, event in told)
        said = [caption.text for caption in captions]
        changes += sum(a != b for a, b in zip(["", *said], said, strict=False) if b)
        for sound in scene.sounds:
            its = [e for e, of in zip(closed.values(), right, strict=True) if of == sound]
            if not its:
                continue
            named += 1
            first = min(its, key=lambda event: event.number)
            found["start_error_s"].append(abs(first.start_s - sound.start_s))
            found["end_error_s"].append(abs(max(e.end_s for e in its) - sound.end_s))
            at = next(at for at, event in told if event.number == first.number)
            found["sound_to_event_s"].append(at - sound.start_s)
    return {
        "events_named": [named / max(1, sounds)],
        "events_true": [true / max(1, events)],
        "lines_per_minute": [lines / minutes],
        "changes_per_minute": [changes / minutes],
        **{metric: values for metric, values in found.items() if values},
    }


def _told(
    captions: list[Caption], hop_s: float, spec: EventTrackerSpec
) -> Iterator[tuple[float, Event]]:
    """What the track says, and when: at the end of the window that it says it after."""
    track, now_s = EventTracker(hop_s, spec), 0.0
    for caption in captions:
        now_s = caption.end_s
        for event in track.push(caption):
            yield now_s, event
    for event in track.end():
        yield now_s, event


def _truth(reader: Reader, event: Event, sounds: list[Sound]) -> Sound | None:
    """The sound that `event` names, by its last words, while or right before or after it is."""
    labels = {label for clause in read(reader, event.text) for label in clause.labels}
    for sound in sounds:
        near = event.start_s < sound.end_s + 2.0 and event.end_s > sound.start_s - 2.0
        if near and sound.label in labels:
            return sound
    return None
