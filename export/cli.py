"""`aac-export`: a training checkpoint to model bundles."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.errors import AacStreamError


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    p = argparse.ArgumentParser(
        prog="aac-export", description="Writes OUT/fp32 and OUT/int8, model bundles for aac-stream."
    )
    p.add_argument("checkpoint", type=Path, help="last.pt of aac-distill train")
    p.add_argument("out", type=Path, help="folder to write the two bundles to")
    args = p.parse_args(argv)
    try:
        from export.bundle import write_bundles
        from export.checkpoint import load_checkpoint
    except ImportError as error:
        print(f"aac-export: {error}; type: pip install 'aac-stream[export]'", file=sys.stderr)
        return 2
    try:
        checkpoint = load_checkpoint(args.checkpoint)
        for folder in write_bundles(checkpoint, args.out):
            size = sum(file.stat().st_size for file in folder.iterdir())
            print(f"{folder}: {size / 1e6:.1f} MB")
    except AacStreamError as error:
        print(f"aac-export: {error}", file=sys.stderr)
        return 2
    return 0
