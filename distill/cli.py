"""`aac-distill`: build a corpus, prepare data, train students, and say how well they caption."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.errors import AacStreamError
from edge.process.program import INTERRUPTED, Parser, printed, run_program


def parser() -> argparse.ArgumentParser:
    p = Parser(prog="aac-distill", description="Trains and evaluates students.")
    commands = p.add_subparsers(dest="command", required=True)
    c = commands.add_parser("corpus", help="the open corpus")
    actions = c.add_subparsers(dest="action", required=True)
    b = actions.add_parser("build", help="build it; goes on where an earlier build ended")
    b.add_argument("folder", type=Path, help="where the clips go")
    _cache_option(b)
    b.add_argument(
        "--shared",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="a labelled corpus on disk (clips.csv), or a folder that holds some; may be repeated",
    )
    b.add_argument("--teacher", type=Path, help="folder with the AudioSet tagger, to check labels")
    o = actions.add_parser("credits", help="print the sources that a model owes its training")
    o.add_argument("folder", type=Path, help="a corpus that was built")
    d = actions.add_parser("doubts", help="write pages of the clips whose label is doubtful")
    d.add_argument("folder", type=Path, metavar="corpus", help="an open corpus that was built")
    d.add_argument("--teacher", type=Path, required=True, help="folder with the AudioSet tagger")
    d.add_argument("--out", type=Path, required=True, help="folder for pages and decisions.csv")
    u = actions.add_parser(
        "pool",
        help="gather unlabelled audio from Debian packages; goes on where it was interrupted",
    )
    u.add_argument("folder", type=Path, help="where the audio goes")
    _cache_option(u)
    u.add_argument("--teacher", type=Path, required=True, help="folder with the AudioSet tagger")
    u.add_argument("--hours", type=float, default=40.0, help="hours of audio at most (40)")
    o = commands.add_parser(
        "probe", help="train a small classifier in minutes, to see what labelled audio is worth"
    )
    o.add_argument("corpus", type=Path, help="an open corpus that was built")
    o.add_argument("--teacher", type=Path, required=True, help="folder with the AudioSet tagger")
    o.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="NAME",
        help="a source or collection of sources not to train on; may be repeated",
    )
    o.add_argument(
        "--table",
        type=Path,
        metavar="FILE",
        help="instead, add the collections one by one and write the table into a Markdown file",
    )
    o.add_argument("--before", type=Path, help="an older corpus, for the first row of --table")
    s = commands.add_parser("scenes", help="write simulated scenes with captions and times")
    s.add_argument("folder", type=Path, help="where the WAV files and scenes.jsonl go")
    _corpus_option(s)
    s.add_argument("--count", type=int, default=100, help="scenes (100)")
    s.add_argument("--seconds", type=float, default=10.0, help="length of each (10)")
    s.add_argument("--seed", type=int, default=1, help="another seed makes other scenes (1)")
    r = commands.add_parser(
        "prepare", help="make training data and the teacher; goes on where it was interrupted"
    )
    r.add_argument("config", type=Path, help="for example distill/experiments/data.yaml")
    _corpus_option(r)
    r.add_argument("--teacher", type=Path, required=True, help="folder with the AudioSet tagger")
    r.add_argument("--htsat-bart", type=Path, help="folder with a checkpoint that teaches instead")
    r.add_argument(
        "--recordings",
        action="append",
        default=[],
        metavar="LAYOUT:FOLDER",
        help="recordings of yours, too: clotho:, audiocaps:, csv: (captions.csv with path and "
        "caption) or audio: (no captions); may be repeated",
    )
    r.add_argument("--strict", action="store_true", help="stop at the first recording that fails")
    r.add_argument("--out", type=Path, required=True, help="folder for the data")
    t = commands.add_parser("train", help="train a student; goes on from its last checkpoint")
    t.add_argument("config", type=Path, help="for example distill/experiments/default.yaml")
    t.add_argument("--data", type=Path, required=True, help="folder that prepare made")
    t.add_argument("--out", type=Path, required=True, help="folder for checkpoints")
    t.add_argument(
        "--start", type=Path, help="ImageNet values of the encoder, or a student, to start from"
    )
    d = commands.add_parser(
        "breadth", help="teach an encoder what the tagger hears, without labels; resumable"
    )
    d.add_argument("config", type=Path, help="for example distill/experiments/breadth.yaml")
    d.add_argument(
        "--corpus",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="folder with clips.csv, of whose train split the audio is taken; may be repeated",
    )
    d.add_argument("--pool", type=Path, help="folder that `corpus pool` made")
    d.add_argument("--teacher", type=Path, required=True, help="folder with the AudioSet tagger")
    d.add_argument("--out", type=Path, required=True, help="folder for checkpoints")
    e = commands.add_parser("evaluate", help="how well bundles caption what was held back")
    e.add_argument("bundles", type=Path, nargs="*", help="bundles (default: the one that ships)")
    _corpus_option(e)
    e.add_argument("--teacher", type=Path, help="folder with the AudioSet tagger, and")
    e.add_argument("--data", type=Path, help="the data it was trained on: to evaluate it as well")
    e.add_argument("--scenes", type=int, default=300, help="simulated scenes of each kind (300)")
    e.add_argument("--record", action="store_true", help="write the figures into the manifests")
    e.add_argument("--verbose", action="store_true", help="print what was said of each item")
    a = commands.add_parser("ablation", help="train a student with each set of losses; resumable")
    a.add_argument("config", type=Path, help="for example distill/experiments/ablation.yaml")
    a.add_argument("--data", type=Path, required=True, help="folder that prepare made")
    _corpus_option(a)
    a.add_argument("--out", type=Path, required=True, help="folder for checkpoints and results")
    a.add_argument("--start", type=Path, help="ImageNet values that the encoders start from")
    k = commands.add_parser("keep", help="a small copy of a checkpoint, to start or export from")
    k.add_argument("checkpoint", type=Path, help="last.pt of a run")
    _corpus_option(k)
    k.add_argument("--out", type=Path, required=True, help="file to write")
    return p


def _cache_option(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--cache",
        type=Path,
        default=Path("~/.cache/aac-stream/packages"),
        help="where packages are kept (~/.cache/aac-stream/packages)",
    )


def _corpus_option(command: argparse.ArgumentParser) -> None:
    command.add_argument("--corpus", type=Path, required=True, help="an open corpus that was built")


def _corpus(args: argparse.Namespace) -> None:
    {"build": _build, "pool": _pool, "credits": _credits, "doubts": _doubts}[args.action](args)


def _pool(args: argparse.Namespace) -> None:
    from distill.corpus.pool import build_pool, packages
    from distill.teachers.tagger import load_tagger

    tagger = load_tagger(args.teacher)
    cache = args.cache.expanduser()
    pool = build_pool(packages(), args.hours, args.folder, cache, tagger, print)
    hours = sum(excerpt.samples for excerpt in pool.excerpts) / 32_000 / 3600
    print(f"wrote {hours:.1f} h of audio from {len({e.package for e in pool.excerpts})} packages")


def _build(args: argparse.Namespace) -> None:
    from distill.corpus.build import build
    from distill.corpus.card import card
    from distill.corpus.plots import plot
    from distill.corpus.tables import load_recipe

    cache = args.cache.expanduser()
    built = build(load_recipe(), args.folder, cache, args.shared, args.teacher, print)
    for rule in built.recipe.rules:
        count = built.gathered.caught[rule.package, rule.pattern]
        print(f"{count:5d}  {rule.package}: {rule.pattern} -> {rule.label}")
    (args.folder / "card.md").write_text(card(built), encoding="utf-8")
    plot(built, args.folder / "plots.png")
    labels = len({clip.recording.label for clip in built.clips})
    print(f"wrote {len(built.clips)} clips of {labels} labels, card.md and plots.png")


def _credits(args: argparse.Namespace) -> None:
    from distill.corpus.credits import credits, read_rows, table
    from distill.corpus.tables import load_recipe

    found = credits(read_rows(args.folder), ["train"])
    print("\n".join(table(found, load_recipe())))


def _doubts(args: argparse.Namespace) -> None:
    from distill.probe.commands import doubts

    print(doubts(args.folder, args.teacher, args.out))


def _probe(args: argparse.Namespace) -> None:
    from distill.probe.commands import probe, table

    if args.table is None:
        print(probe(args.corpus, args.teacher, args.without))
    else:
        table(args.corpus, args.teacher, args.before, args.table)
        print(f"wrote the table into {args.table}")


def _scenes(args: argparse.Namespace) -> None:
    from distill.scenes.export_scenes import export_scenes

    export_scenes(args.corpus, args.folder, args.count, args.seconds, args.seed)
    print(f"wrote {args.count} scenes to {args.folder}")


def _prepare(args: argparse.Namespace) -> None:
    from distill.corpus.training_recordings import read_recordings
    from distill.training.config import DataConfig, read_config
    from distill.training.prepare import prepare

    config = read_config(args.config, DataConfig)
    recordings = []
    for given in args.recordings:
        found, faults = read_recordings(given, args.strict)
        recordings.append(found)
        for fault in faults:
            print(f"left out: {fault}", file=sys.stderr)
        print(f"{given}: {len(found.items)} recordings, {len(faults)} left out")
    prepare(
        config, args.corpus, args.teacher, args.htsat_bart, recordings, args.out, args.strict, print
    )
    print(f"wrote {args.out}")


def _train(args: argparse.Namespace) -> None:
    from distill.training.config import TrainConfig, read_config
    from distill.training.train import train

    config = read_config(args.config, TrainConfig)
    path = train(config, args.data, args.start, args.out, print)
    print(f"wrote {path}")


def _breadth(args: argparse.Namespace) -> None:
    from distill.corpus.dataset import load_all, read_clips
    from distill.corpus.pool import read_pool
    from distill.scenes.noise import RATE
    from distill.teachers.tagger import load_tagger
    from distill.training.breadth import BreadthConfig, train_breadth
    from distill.training.config import read_config

    config = read_config(args.config, BreadthConfig)
    tagger = load_tagger(args.teacher)
    clips = [c for folder in args.corpus for c in read_clips(folder) if c.split == "train"]
    audio = load_all(clips, RATE)
    if args.pool:
        audio += read_pool(args.pool).audio
    path = train_breadth(config, audio, tagger, args.out, print)
    print(f"wrote {path}")


def _evaluate(args: argparse.Namespace) -> None:
    from distill.evaluation.driver import examine

    page = examine(
        args.bundles, args.corpus, args.teacher, args.data, args.scenes, args.record, args.verbose
    )
    print(page)


def _ablation(args: argparse.Namespace) -> None:
    from distill.evaluation.ablation import ablation

    print(ablation(args.config, args.data, args.corpus, args.start, args.out, print))


def _keep(args: argparse.Namespace) -> None:
    from distill.training.strip_checkpoint import keep

    keep(args.checkpoint, args.corpus, args.out)
    print(f"wrote {args.out}")


COMMANDS = {
    "corpus": _corpus,
    "probe": _probe,
    "scenes": _scenes,
    "prepare": _prepare,
    "train": _train,
    "breadth": _breadth,
    "evaluate": _evaluate,
    "ablation": _ablation,
    "keep": _keep,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `aac-distill` with the arguments `argv`; return the exit code."""
    return run_program(lambda: _run(argv), printed("aac-distill"))


def _run(argv: Sequence[str] | None) -> int:
    args = parser().parse_args(argv)
    try:
        COMMANDS[args.command](args)
    except ImportError as error:
        raise AacStreamError(f"{error}; type: pip install 'aac-stream[train]'") from None
    except KeyboardInterrupt:
        print("aac-distill: interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    return 0
