"""Write docs/scenes.md and docs/scenes.png: `python -m distill.scenes.page CORPUS DOCS`."""

from __future__ import annotations

import random
import sys
import textwrap
from pathlib import Path

import matplotlib
import numpy as np

from distill.captions.writer import load_wordings, write
from distill.errors import CorpusError
from distill.scenes.annotations import Spans, Truth
from distill.scenes.export_scenes import load_simulator
from distill.scenes.noise import RATE
from distill.scenes.scene_spec import SceneSpec
from distill.scenes.simulator import Scene
from edge.inference.features import FeatureSpec, Floats, LogMel

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

COUNT, SECONDS, SEED = 10, 5.0, 1
COLUMNS = 2
HOP_S = 0.02
RANGE_DB = 60.0  # Below the loudest point of a spectrogram.
LEVELS = 24  # Steps of colour; fewer make a smaller file.
SPECTROGRAM = FeatureSpec(
    sample_rate=RATE,
    window=1024,
    hop=int(HOP_S * RATE),
    n_mels=80,
    f_min=50.0,
    f_max=RATE / 2,
    floor=1e-10,
    mean=0.0,
    std=1.0,
)


def write_page(corpus: Path, docs: Path) -> None:
    """Write scenes 0 to 9 of the training clips of `corpus`, as Markdown and as one image.

    Raises
    ------
    CorpusError
        If the corpus cannot be used.
    """
    simulator, wordings = load_simulator(corpus, SEED), load_wordings()
    scenes = [simulator.scene(number, SECONDS) for number in range(COUNT)]
    captions = [
        write(scene.truth, wordings, random.Random(f"{SEED} {number}"), simulator.general)
        for number, scene in enumerate(scenes)
    ]
    _plot(scenes, captions, docs / "scenes.png")
    (docs / "scenes.md").write_text(page(scenes, captions, simulator.spec), encoding="utf-8")


def page(scenes: list[Scene], captions: list[str], spec: SceneSpec) -> str:
    """Return the page of `scenes` and their `captions` as Markdown."""
    lines = [
        "# Ten simulated scenes",
        "",
        f"Scenes 0 to {len(scenes) - 1} of seed {SEED}, as they are drawn from "
        "[`SceneSpec`](../distill/scenes/scene_spec.py). The bars show when each sound is audible. "
        "Made by `python -m distill.scenes.page CORPUS docs`.",
        "",
        "![Spectrograms of ten scenes with their captions and times](scenes.png)",
        "",
        "| scene | caption | sounds and the seconds in which each is audible |",
        "| ---: | --- | --- |",
    ]
    for number, (scene, caption) in enumerate(zip(scenes, captions, strict=True)):
        sounds = [
            f"{label}{note} {', '.join(f'{a:.2f}-{b:.2f}' for a, b in spans)}"
            for label, note, spans in _sounds(scene.truth)
        ]
        lines.append(f"| {number} | {caption} | {'; '.join(sounds) or 'none'} |")
    share = spec.quiet_share + spec.noise_share + spec.wind_share
    lines += [
        "",
        f"Of all scenes {1 - share:.0%} hold events, {spec.quiet_share:.0%} are quiet, "
        f"{spec.noise_share:.0%} are noise and {spec.wind_share:.0%} wind on the microphone.",
    ]
    return "\n".join(lines) + "\n"


def _sounds(truth: Truth) -> list[tuple[str, str, Spans]]:
    """Return label, note and audible times of each sound."""
    sounds = [
        (event.label, f" ({event.distance})" if event.distance else "", event.active_s)
        for event in truth.events
    ]
    background = [(truth.ambience, " (background)", truth.ambience_s)] if truth.ambience else []
    return sounds + background


def _plot(scenes: list[Scene], captions: list[str], path: Path) -> None:
    log_mel = LogMel(SPECTROGRAM)
    rows = -(-len(scenes) // COLUMNS)
    fig, axes = plt.subplots(rows, COLUMNS, figsize=(12, 2.9 * rows), layout="constrained")
    for number, (scene, caption, ax) in enumerate(zip(scenes, captions, axes.flat, strict=True)):
        _spectrogram(ax, log_mel(scene.audio))
        _bars(ax, scene.truth)
        ax.set_title("\n".join(textwrap.wrap(f"{number}: {caption}", 64)), fontsize=9, loc="left")
    fig.savefig(path, dpi=75, pil_kwargs={"optimize": True})
    plt.close(fig)


def _spectrogram(ax: Axes, bands: Floats) -> None:
    """Draw `bands` (frames, bands) above the time axis, from 0 to 1."""
    top = bands.max()
    steps = np.round(np.clip((bands - top) / RANGE_DB + 1.0, 0.0, 1.0) * LEVELS)
    ax.imshow(
        steps.T,
        origin="lower",
        aspect="auto",
        extent=(0.0, SECONDS, 0.0, 1.0),
        cmap="magma",
        interpolation="nearest",
    )


def _bars(ax: Axes, truth: Truth) -> None:
    """Draw a bar per sound below the spectrogram."""
    sounds = _sounds(truth)
    for row, (label, note, spans) in enumerate(sounds):
        y = -0.14 * (row + 1)
        for start, end in spans:
            ax.barh(y, end - start, left=start, height=0.1, color=f"C{row}")
        ax.text(-0.05, y, label + note, ha="right", va="center", fontsize=7)
    ax.set(xlim=(0.0, SECONDS), ylim=(-0.14 * (len(sounds) + 0.6), 1.0), yticks=[])
    ax.tick_params(axis="x", labelsize=7)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m distill.scenes.page CORPUS DOCS")
    try:
        write_page(Path(sys.argv[1]), Path(sys.argv[2]))
    except CorpusError as error:
        sys.exit(str(error))
