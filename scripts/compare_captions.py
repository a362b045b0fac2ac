"""Compare the captions of one recording on two machines, window by window.

    compare_captions.py A.jsonl B.jsonl

Each is what `aac-stream --device RECORDING --fast --format jsonl` printed there. Exit status: 0 if
they agree within the limits below, 1 if not, 2 if a file cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Kernels that differ in rounding alone give the same captions in nearly all windows, and
# confidences that differ in the second decimal; int8 products that saturate (ONNX Runtime's by
# default, on x86-64 without VNNI) gave others in most. The limits lie between: one window of
# twenty is for captions that are nearly as likely as another.
MIN_SAME = 0.95
MAX_CONFIDENCE = 0.03  # of windows with the same caption


@dataclass(frozen=True)
class Window:
    """A line of a file."""

    start_s: float
    end_s: float
    state: str
    text: str
    confidence: float
    level_db: float

    @property
    def said(self) -> str:
        return self.text or f"({self.state})"


def read(path: Path) -> list[Window]:
    """The windows of `path`.

    Raises: OSError if it cannot be read, ValueError if it is not what `aac-stream` writes.
    """
    windows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            values = json.loads(line)
            windows.append(Window(*(values[name] for name in Window.__dataclass_fields__)))
        except (ValueError, TypeError, KeyError):
            raise ValueError(f"line {number} is not a caption in JSON") from None
    return windows


def agree(a: Sequence[Window], b: Sequence[Window]) -> bool:
    """Print how `a` and `b` compare; whether they agree within the limits."""
    if not a or [(w.start_s, w.end_s) for w in a] != [(w.start_s, w.end_s) for w in b]:
        print(f"not the same windows: {len(a)} and {len(b)}")
        return False
    pairs = list(zip(a, b, strict=True))
    alike = [(x, y) for x, y in pairs if x.said == y.said]
    for x, y in pairs:
        if x.said != y.said:
            sides = [f"{w.said} [{w.confidence:.3f}]" for w in (x, y)]
            print(f"  {x.start_s:6.1f} s  {sides[0]}  |  {sides[1]}")
    moved = max((abs(x.confidence - y.confidence) for x, y in alike), default=0.0)
    level = max(abs(x.level_db - y.level_db) for x, y in pairs)
    print(f"{len(pairs)} windows, {len(alike)} captions the same word for word")
    print(f"largest difference of confidence where they are: {moved:.3f}, of level: {level:.1f} dB")
    print(f"everything the same: {'yes' if list(a) == list(b) else 'no'}")
    return len(alike) >= MIN_SAME * len(pairs) and moved <= MAX_CONFIDENCE


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare the captions of two machines.")
    parser.add_argument("a", type=Path, metavar="A.jsonl")
    parser.add_argument("b", type=Path, metavar="B.jsonl")
    files = parser.parse_args()
    windows = []
    for path in (files.a, files.b):
        try:
            windows.append(read(path))
        except (OSError, ValueError) as error:
            print(f"{path}: {getattr(error, 'strerror', None) or error}", file=sys.stderr)
            return 2
    good = agree(*windows)
    limits = f"{MIN_SAME:.0%} the same, confidence {MAX_CONFIDENCE:g}"
    print(f"{'agree' if good else 'do NOT agree'} within the limits ({limits})")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
