"""`aac-bench`: what the streaming loop costs on this machine."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from benchmarks.stream import Run, measure_apart, report
from edge.bundle import default_bundle, load_bundle
from edge.errors import AacStreamError
from edge.sources import FileSource


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    p = argparse.ArgumentParser(
        prog="aac-bench",
        description="Real-time factor, memory and cold start of the streaming loop. "
        "Several bundles are measured in turn, so that their ratios hold on a noisy machine.",
    )
    p.add_argument("recording", type=Path, help="an audio file, for example examples/sample.ogg")
    p.add_argument("bundles", type=Path, nargs="*", help="bundles (default: the one that ships)")
    p.add_argument("--hop-s", type=float, default=1.0, help="seconds between windows (1)")
    p.add_argument("--threads", type=int, default=1, help="threads for the model (1)")
    p.add_argument("--repeats", type=int, default=5, help="runs of each bundle (5)")
    args = p.parse_args(argv)
    folders = args.bundles or [default_bundle()]
    runs: dict[str, list[Run]] = {}
    sizes: dict[str, float] = {}
    try:
        FileSource(args.recording, fast=True).close()
        names = [load_bundle(folder).precision for folder in folders]
        for _ in tqdm(range(args.repeats), desc="runs", leave=False):
            for name, folder in zip(names, folders, strict=True):
                sizes[name] = sum(f.stat().st_size for f in folder.iterdir()) / 1e6
                run = measure_apart(args.recording, folder, args.hop_s, args.threads)
                runs.setdefault(name, []).append(run)
    except AacStreamError as error:
        print(f"aac-bench: {error}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"aac-bench: {error.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return 2
    print(report(runs, sizes, args.hop_s, args.threads))
    return 0
