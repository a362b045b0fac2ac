"""`aac-bench`: what the streaming loop costs on this machine, and each variant of a model."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from benchmarks.stream import Run, measure_apart, report
from edge.bundle import default_bundle, load_bundle, size_mb
from edge.config import BACKENDS
from edge.errors import AacStreamError
from edge.sources import FileSource


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="aac-bench", description="Measures bundles on this machine.")
    commands = p.add_subparsers(dest="command", required=True)
    s = commands.add_parser(
        "stream",
        help="real-time factor, memory and cold start of the streaming loop",
        description="Real-time factor, memory and cold start of the streaming loop. "
        "Several bundles are measured in turn, so that their ratios hold on a noisy machine.",
    )
    s.add_argument("recording", type=Path, help="an audio file, for example examples/sample.ogg")
    s.add_argument("bundles", type=Path, nargs="*", help="bundles (default: the one that ships)")
    s.add_argument("--hop-s", type=float, default=1.0, help="seconds between windows (1)")
    s.add_argument("--threads", type=int, default=1, help="threads for the model (1)")
    s.add_argument("--repeats", type=int, default=5, help="runs of each bundle (5)")
    v = commands.add_parser("variants", help="bundles on backends: size, speed, captions")
    v.add_argument("bundles", type=Path, nargs="+", help="the first is what others are compared to")
    v.add_argument("--corpus", type=Path, required=True, help="an open corpus that was built")
    v.add_argument(
        "--scenes", type=int, default=300, help="scenes beside the held-back clips (300)"
    )
    v.add_argument("--window-s", type=float, default=5.0, help="of which the speed is measured (5)")
    v.add_argument(
        "--backend", choices=BACKENDS, action="append", help="may be repeated (onnx, openvino)"
    )
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    args = parser().parse_args(argv)
    try:
        if args.command == "stream":
            print(_stream(args))
        else:
            from benchmarks.variants import variants

            backends = args.backend or ["onnx", "openvino"]
            print(variants(args.bundles, backends, args.corpus, args.scenes, args.window_s))
    except AacStreamError as error:
        print(f"aac-bench: {error}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"aac-bench: {error.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return 2
    return 0


def _stream(args: argparse.Namespace) -> str:
    folders = args.bundles or [default_bundle()]
    runs: dict[str, list[Run]] = {}
    sizes: dict[str, float] = {}
    FileSource(args.recording, fast=True).close()
    names = [load_bundle(folder).precision for folder in folders]
    for _ in tqdm(range(args.repeats), desc="runs", leave=False):
        for name, folder in zip(names, folders, strict=True):
            sizes[name] = size_mb(folder)
            run = measure_apart(args.recording, folder, args.hop_s, args.threads)
            runs.setdefault(name, []).append(run)
    return report(runs, sizes, args.hop_s, args.threads)
