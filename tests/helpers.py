"""What several tests use: the repo's sample, the real command line, a bundle of another kind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.scenarios.live import Sound, known_sounds
from distill.captions.caption_parser import Reader, read
from distill.captions.writer import load_wordings

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "examples" / "sample.ogg"
READER = Reader(load_wordings())


def sample_events() -> list[Sound]:
    """What sounds in the sample, and when."""
    return known_sounds(SAMPLE)


def names(caption: str, label: str) -> bool:
    """Whether a clause of `caption` says `label`, by the rule of the evaluation."""
    return any(label in clause.labels for clause in read(READER, caption))


def default_signals() -> None:
    """Have child processes start with the default actions of signals that this process ignores.

    A child inherits what is ignored, but no handler: so a handler that does nothing takes its
    place. A worker of pytest-xdist survives a hang-up likewise, as its parent decides when to end.
    """
    for name in ("SIGINT", "SIGHUP", "SIGTERM"):
        number = getattr(signal, name, None)
        if number is None:  # on Windows
            continue
        ignored = signal.getsignal(number) is signal.SIG_IGN
        if ignored or (name == "SIGHUP" and "PYTEST_XDIST_WORKER" in os.environ):
            signal.signal(number, lambda _number, _frame: None)


def aac_stream(
    *arguments: str,
    stdin: bytes | None = None,
    env: dict[str, str] | None = None,
    timeout: float = 180.0,
) -> subprocess.CompletedProcess[str]:
    """Run the real command line and wait for its end."""
    done = subprocess.run(
        [sys.executable, "-m", "edge", *arguments],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        env=env,
        cwd=ROOT,
        timeout=timeout,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def times(text: str, lines: list[str]) -> int:
    """How many of `lines` hold `text`."""
    return sum(text in line for line in lines)


def captions_of(lines: list[str]) -> list[dict[str, Any]]:
    """The captions in lines of JSON."""
    return [json.loads(line) for line in lines]


def the_one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The line that a failed run must end with, and be: exit code 2, no traceback."""
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if "listening to" not in line]
    return lines[-1]
