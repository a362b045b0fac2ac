"""`aac-distill`: build a corpus, train a student, and say how well it names sounds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.errors import AacStreamError


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="aac-distill", description="Trains and evaluates students.")
    commands = p.add_subparsers(dest="command", required=True)
    c = commands.add_parser("corpus", help="the open corpus")
    b = c.add_subparsers(dest="action", required=True).add_parser(
        "build", help="build it from Debian packages; goes on where an earlier build ended"
    )
    b.add_argument("folder", type=Path, help="where the clips go")
    b.add_argument(
        "--cache",
        type=Path,
        default=Path("~/.cache/aac-stream/packages"),
        help="where packages are kept (~/.cache/aac-stream/packages)",
    )
    b.add_argument("--shared", type=Path, help="folder with the shared corpus, to take that too")
    b.add_argument("--teacher", type=Path, help="folder with the AudioSet tagger, to check labels")
    s = commands.add_parser("scenes", help="write simulated scenes with captions and times")
    s.add_argument("folder", type=Path, help="where the WAV files and scenes.jsonl go")
    s.add_argument("--corpus", type=Path, required=True, help="an open corpus that was built")
    s.add_argument("--count", type=int, default=100, help="scenes (100)")
    s.add_argument("--seconds", type=float, default=10.0, help="length of each (10)")
    s.add_argument("--seed", type=int, default=1, help="another seed makes other scenes (1)")
    t = commands.add_parser("train", help="train a student; goes on from its last checkpoint")
    t.add_argument("config", type=Path, help="the experiment, for example distill/first.yaml")
    t.add_argument("--corpus", type=Path, required=True, help="folder with clips.csv")
    t.add_argument("--teacher", type=Path, required=True, help="folder with the AudioSet tagger")
    t.add_argument("--out", type=Path, required=True, help="folder for checkpoints")
    t.add_argument(
        "--imagenet", type=Path, help="EfficientNet-Lite0 checkpoint that the encoder starts from"
    )
    e = commands.add_parser("evaluate", help="how often bundles name the held-back sounds")
    e.add_argument("bundles", type=Path, nargs="*", help="bundles (default: the one that ships)")
    e.add_argument("--corpus", type=Path, required=True, help="folder with clips.csv")
    e.add_argument("--record", action="store_true", help="write the figures into the manifests")
    e.add_argument("--verbose", action="store_true", help="print the caption of each clip")
    return p


def _corpus(args: argparse.Namespace) -> None:
    from distill.recipe.build import build
    from distill.recipe.card import card
    from distill.recipe.plots import plot
    from distill.recipe.tables import load_recipe

    cache = args.cache.expanduser()
    built = build(load_recipe(), args.folder, cache, args.shared, args.teacher, print)
    for rule in built.recipe.rules:
        count = built.caught[rule.package, rule.pattern]
        print(f"{count:5d}  {rule.package}: {rule.pattern} -> {rule.label}")
    (args.folder / "card.md").write_text(card(built), encoding="utf-8")
    plot(built, args.folder / "plots.png")
    labels = len({clip.recording.label for clip in built.clips})
    print(f"wrote {len(built.clips)} clips of {labels} labels, card.md and plots.png")


def _scenes(args: argparse.Namespace) -> None:
    from distill.export_scenes import export_scenes

    export_scenes(args.corpus, args.folder, args.count, args.seconds, args.seed)
    print(f"wrote {args.count} scenes to {args.folder}")


def _train(args: argparse.Namespace) -> None:
    from distill.train import read_config, train

    config = read_config(args.config)
    path = train(config, args.corpus, args.teacher, args.imagenet, args.out, print)
    print(f"wrote {path}")


def _evaluate(args: argparse.Namespace) -> None:
    from distill.corpus import read_clips
    from distill.evaluate import RULE, Result, evaluate, metrics, table
    from distill.grammar import load_grammar
    from edge.bundle import default_bundle
    from edge.captioner import load_captioner
    from export.manifest import record_metrics

    clips = read_clips(args.corpus)
    held_back = [clip for clip in clips if clip.split == "val"]
    results: dict[str, list[Result]] = {}
    for folder in args.bundles or [None]:
        captioner = load_captioner(folder)
        name = f"{captioner.bundle.name} {captioner.bundle.precision}"
        results[name] = evaluate(captioner, held_back, load_grammar())
        if args.record:
            record_metrics(folder or default_bundle(), metrics(results[name]))
        if args.verbose:
            for r in results[name]:
                verdict = "named" if r.named else "missed"
                print(f"{verdict}\t{r.confidence:.2f}\t{r.clip.label}\t{r.caption}")
    print(RULE, end="\n\n")
    print(table(results, {clip.label for clip in clips if clip.split == "train"}))


COMMANDS = {"corpus": _corpus, "scenes": _scenes, "train": _train, "evaluate": _evaluate}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    args = parser().parse_args(argv)
    try:
        COMMANDS[args.command](args)
    except ImportError as error:
        print(f"aac-distill: {error}; type: pip install 'aac-stream[train]'", file=sys.stderr)
        return 2
    except AacStreamError as error:
        print(f"aac-distill: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("aac-distill: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0
