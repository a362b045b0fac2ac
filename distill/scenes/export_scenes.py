"""Scenes as files: WAV, captions and times, to listen to or to train something else on."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path

import soundfile
from tqdm import tqdm

from distill.captions.writer import load_wordings, write
from distill.corpus.dataset import load_all, read_clips
from distill.errors import CorpusError
from distill.scenes.noise import RATE
from distill.scenes.simulator import SceneSpec, Simulator


def load_simulator(corpus: Path, seed: int) -> Simulator:
    """Return a simulator of the training clips of `corpus`.

    Raises
    ------
    CorpusError
        If the corpus holds labels that captions have no wording for, or no training clips.
    """
    clips = [clip for clip in read_clips(corpus) if clip.split == "train"]
    if not clips:
        raise CorpusError(f"{corpus}: holds no clips of the split train; build the corpus again")
    odd = sorted({clip.label for clip in clips} - load_wordings().names)
    if odd:
        raise CorpusError(f"{corpus}: has labels without wordings: {', '.join(odd[:3])} ...")
    return Simulator(clips, load_all(clips, RATE), SceneSpec(), seed)


def export_scenes(corpus: Path, out: Path, count: int, seconds: float, seed: int) -> None:
    """Write scenes 0 to `count` - 1 of `seed`, and `scenes.jsonl` with what is true of each.

    Raises
    ------
    CorpusError
        If the corpus cannot be used (see `load_simulator`), or `out` cannot be written.
    """
    simulator, wordings = load_simulator(corpus, seed), load_wordings()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CorpusError(f"{out}: cannot be written ({error.strerror})") from None
    with open(out / "scenes.jsonl", "w", encoding="utf-8") as index:
        for number in tqdm(range(count), desc="scenes", unit="scene"):
            scene = simulator.scene(number, seconds)
            name = f"{number:06d}.wav"
            soundfile.write(out / name, scene.audio, RATE, subtype="PCM_16")
            rng = random.Random(f"{seed} {number}")
            row = {
                "path": name,
                "caption": write(scene.truth, wordings, rng, simulator.general),
                "seconds": scene.truth.seconds,
                "ambience": scene.truth.ambience,
                "ambience_s": scene.truth.ambience_s,
                "events": [asdict(event) for event in scene.truth.events],
            }
            index.write(json.dumps(row) + "\n")
            index.flush()
