"""`aac-distill ablation`: the paper's table 1 on simulated scenes; resumable run by run."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
import yaml
from tqdm import tqdm

from distill.captions.caption_parser import Reader
from distill.captions.writer import load_wordings
from distill.errors import CorpusError
from distill.evaluation.eval_set import Item, items
from distill.evaluation.evaluate import answers, figures
from distill.evaluation.inference import Told, by_student
from distill.models.checkpoint import load_checkpoint
from distill.models.vocabulary import Vocabulary
from distill.training.config import TrainConfig, read_config
from distill.training.train import train

matplotlib.use("Agg")
from matplotlib import pyplot as plt

SCENES = 300  # that a run is evaluated with, beside the single clips
# What the table shows, of all that `evaluate` measures: as in the paper, and what a user notices.
MEASURES = {
    "scenes: cider_d": "CIDEr-D",
    "scenes: event recall": "event recall",
    "scenes: event precision": "event precision",
    "single clips, all labels": "clips named",
}


@dataclass(frozen=True)
class Run:
    losses: str
    captioned: str
    seed: int
    config: TrainConfig

    @property
    def name(self) -> str:
        words = f"{self.losses} {self.captioned} {self.seed}"
        return "".join(c if c.isalnum() else "-" for c in words)


def read_runs(path: Path) -> list[Run]:
    """The runs that the table in `path` describes: losses x shares of captions x seeds.

    Raises: CorpusError if it is not such a table.
    """
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
        base = read_config(path.parent / table["base"], TrainConfig)
        grid = product(table["seeds"], table["captioned"].items(), table["losses"].items())
        return [
            Run(
                losses,
                name,
                seed,
                replace(base, **(table["changes"] | change), captioned=share, seed=seed),
            )
            for seed, (name, share), (losses, change) in grid
        ]
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"{path}: does not describe an ablation ({error})") from None


def ablation(
    path: Path,
    data: Path,
    corpus: Path,
    start: Path | None,
    out: Path,
    say: Callable[[str], None],
) -> str:
    """Train and evaluate every run of `path`; what is in `out` already is not done again.

    Returns: the table in Markdown; `out`/ablation.png shows it.
    """
    found: list[Item] = []
    results: list[tuple[Run, dict[str, float]]] = []
    for run in read_runs(path):
        result = out / run.name / "figures.json"
        saved: dict[str, Any] = {}
        if result.is_file():
            saved = json.loads(result.read_text(encoding="utf-8"))
        if saved.get("config") != asdict(run.config):
            say(run.name)
            checkpoint = train(run.config, data, start, result.parent, say)
            found = found or items(corpus, load_wordings(), SCENES, ["scene"])
            saved = {
                "config": asdict(run.config),
                "figures": evaluate_checkpoint(checkpoint, found),
            }
            result.write_text(json.dumps(saved), encoding="utf-8")
        results.append((run, saved["figures"]))
    draw(results, out / "ablation.png")
    return table(results)


def evaluate_checkpoint(path: Path, found: list[Item]) -> dict[str, float]:
    """Every figure of the student in `path`, in PyTorch."""
    checkpoint = load_checkpoint(path)
    vocabulary, wordings = Vocabulary(checkpoint.words), load_wordings()
    torch.set_grad_enabled(False)

    def listen(item: Item) -> Told:
        return by_student(checkpoint.student, vocabulary, item.audio, wordings.quiet)

    measured = figures(answers(tqdm(found, leave=False), listen, Reader(wordings)))
    torch.set_grad_enabled(True)
    return {name: figure.value for name, figure in measured.items()}


def table(results: list[tuple[Run, dict[str, float]]]) -> str:
    """Means over seeds; with more than one seed, their standard deviation."""
    lines = ["| captions | losses | " + " | ".join(MEASURES.values()) + " |"]
    lines.append("| --- | --- |" + " ---: |" * len(MEASURES))
    for (captioned, losses), values in _by_setting(results).items():
        cells = []
        for measure in MEASURES:
            seeds = np.array([v[measure] for v in values if measure in v])
            spread = f" ± {seeds.std(ddof=1):.3f}" if len(seeds) > 1 else ""
            cells.append(f"{seeds.mean():.3f}{spread}" if len(seeds) else "")
        lines.append(f"| {captioned} | {losses} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _by_setting(
    results: list[tuple[Run, dict[str, float]]],
) -> dict[tuple[str, str], list[dict[str, float]]]:
    grouped: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for run, values in results:
        grouped[run.captioned, run.losses].append(values)
    return grouped


def draw(results: list[tuple[Run, dict[str, float]]], path: Path) -> None:
    """A panel a measure: one group of bars for each share of captions."""
    grouped = _by_setting(results)
    shares = list(dict.fromkeys(captioned for captioned, _ in grouped))
    losses = list(dict.fromkeys(name for _, name in grouped))
    figure, axes = plt.subplots(1, len(MEASURES), figsize=(3.2 * len(MEASURES), 3.2))
    width = 0.8 / len(losses)
    for axis, (measure, title) in zip(axes, MEASURES.items(), strict=True):
        for i, name in enumerate(losses):
            means = [
                float(np.mean([v.get(measure, np.nan) for v in grouped[share, name]]))
                for share in shares
            ]
            places = np.arange(len(shares)) + (i - (len(losses) - 1) / 2) * width
            axis.bar(places, means, width, label=name)
        axis.set_xticks(range(len(shares)), [f"captions: {share}" for share in shares])
        axis.set_title(title)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncol=len(losses))
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    figure.savefig(path, dpi=120)
    plt.close(figure)
