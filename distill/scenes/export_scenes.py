"""Scenes as files: WAV, captions and times, to listen to or to train something else on."""

from __future__ import annotations

import json
import random
from pathlib import Path

import soundfile
from tqdm import tqdm

from distill.captions.writer import load_wordings, write
from distill.corpus.dataset import load_all, read_clips
from distill.corpus.tables import load_recipe
from distill.errors import CorpusError
from distill.scenes.noise import RATE
from distill.scenes.simulator import SceneSpec, Simulator


def export_scenes(corpus: Path, out: Path, count: int, seconds: float, seed: int) -> None:
    """Write scenes 0 to `count` - 1 of `seed`, and `scenes.jsonl` with what is true of each.

    Raises: CorpusError if the corpus holds other labels than the open one, or `out` is no folder
        to write to.
    """
    recipe, wordings = load_recipe(), load_wordings()
    clips = [clip for clip in read_clips(corpus) if clip.split == "train"]
    odd = sorted({clip.label for clip in clips} - set(recipe.labels))
    if odd:
        raise CorpusError(f"{corpus}: has labels without wordings: {', '.join(odd[:3])} ...")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CorpusError(f"{out}: cannot be written ({error.strerror})") from None
    simulator = Simulator(clips, load_all(clips, RATE), SceneSpec(), seed)
    with open(out / "scenes.jsonl", "w", encoding="utf-8") as index:
        for number in tqdm(range(count), desc="scenes", unit="scene"):
            scene = simulator.scene(number, seconds)
            name = f"{number:06d}.wav"
            soundfile.write(out / name, scene.audio, RATE, subtype="PCM_16")
            row = {
                "path": name,
                "caption": write(scene.truth, wordings, random.Random(f"{seed} {number}")),
                "seconds": scene.truth.seconds,
                "ambience": scene.truth.ambience,
                "events": [
                    {
                        "label": event.label,
                        "times_s": event.times_s,
                        "level_db": event.level_db,
                        "distance": event.distance,
                    }
                    for event in scene.truth.events
                ],
            }
            index.write(json.dumps(row) + "\n")
            index.flush()
