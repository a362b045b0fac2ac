"""`aac-bench soak`: a day on the shelf through the real loop, and whether all of it was heard."""

from __future__ import annotations

import argparse
import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import TextIO

import numpy as np
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.scenarios.memory import held_mb, peak_mb
from benchmarks.shelf import Shelf
from benchmarks.shelf_source import Count, ShelfSource
from edge.audio.clip import read_clip
from edge.config import StreamConfig
from edge.errors import AacStreamError
from edge.inference.captioner import Captioner, load_captioner
from edge.inference.features import Floats
from edge.streaming.event_tracker import Event, EventTracker
from edge.streaming.pipeline import Stats, StreamingCaptioner

SAMPLE = Path(__file__).parents[1] / "examples" / "sample.ogg"
RATE = 32_000  # Hz, of the clips; the rate of the sample
CLIPS = 200  # of a corpus; what is in memory stays small
HOURS = (0.01, 1000.0)
SETTLED_S = 3600.0  # of audio; then each sort of device has been there
GROWTH_MB = 1.0  # at most, from then on
SAME_S = 4e-6  # what adding up seconds may differ by; a frame at 96 kHz is longer


@dataclass
class Memory:
    """What the process held while no device was there; None before that, or if not known."""

    settled_s: float | None = None  # seconds of audio up to the first reading
    settled_mb: float | None = None
    settled_peak_mb: float = 0.0  # the most up to then
    end_s: float = 0.0
    end_mb: float | None = None
    peak_mb: float = 0.0

    @property
    def growth_mb(self) -> float | None:
        """None where less than an hour lies between the readings."""
        if self.settled_s is None or self.settled_mb is None or self.end_mb is None:
            return None
        known = self.end_s - self.settled_s >= SETTLED_S
        return self.end_mb - self.settled_mb if known else None

    def settle(self, made_s: float) -> None:
        """Called between devices."""
        if self.settled_s is None and made_s >= SETTLED_S:
            self.settled_s, self.settled_mb, self.settled_peak_mb = made_s, held_mb(), peak_mb()

    def end(self, made_s: float) -> None:
        """Called after the last device."""
        self.end_s, self.peak_mb, self.end_mb = made_s, peak_mb(), held_mb()


@dataclass
class Soak:
    """What a soak found."""

    hop_s: float
    count: Count
    stats: Stats
    states: Counter[str] = field(default_factory=Counter)
    events: int = 0
    heard_s: float = 0.0  # that windows covered, overlaps once
    backwards: int = 0  # windows that do not end after the one before
    memory: Memory = field(default_factory=Memory)
    wall_s: float = 0.0
    stopped: bool = False

    def missed(self) -> list[str]:
        """The aims that were missed, a sentence each."""
        count, stats, out = self.count, self.stats, []
        if count.stray or count.altered:
            out.append(f"the ring lost or doubled {count.stray} frames, {count.altered} altered")
        if abs(stats.audio_s - count.clock_s) > SAME_S:
            wrong_s = stats.audio_s - count.clock_s
            out.append(f"the loop's clock is off by {wrong_s:.6f} s of audio")
        if abs(stats.lost_s - count.lost_s) > SAME_S:
            wrong_s = stats.lost_s - count.lost_s
            out.append(f"the loop was told of {wrong_s:.6f} s more of gaps than there were")
        # At each gap less than half a hop has no window, and no frame that is cut short.
        unheard_s = count.clock_s - count.lost_s - self.heard_s
        allowed_s = (count.gaps + 1) * (self.hop_s / 2.0 + 0.1)
        if not -0.1 <= unheard_s <= allowed_s:
            out.append(f"{unheard_s:.1f} s of audio are in no window")
        if self.backwards:
            out.append(f"{self.backwards} windows are out of order")
        if stats.skipped_windows:
            out.append(f"{stats.skipped_windows} windows were skipped")
        if (growth := self.memory.growth_mb) is not None and growth >= GROWTH_MB:
            out.append(f"memory grew by {growth:.2f} MB after the first hour")
        return out


def soak(
    source: ShelfSource,
    captioner: Captioner,
    config: StreamConfig,
    tell: Callable[[], object] = lambda: None,
) -> Soak:
    """Hear `source` to its end; `tell` is called at each window."""
    began = time.monotonic()
    loop = StreamingCaptioner(source, captioner, config)
    found = Soak(config.hop_s, source.count, loop.stats)
    source.between = lambda: found.memory.settle(source.count.made_s)
    track = EventTracker(config.hop_s)
    last_s = 0.0
    with TemporaryFile("w", encoding="utf-8") as out:
        for caption in loop.captions():
            found.states[caption.state] += 1
            found.backwards += caption.end_s <= last_s
            found.heard_s += max(0.0, caption.end_s - max(last_s, caption.start_s))
            last_s = caption.end_s
            found.events = max(found.events, _write(out, track.push(caption)))
            tell()
        _write(out, track.end())
    found.memory.end(source.count.made_s)
    found.stopped = source.stopped
    found.wall_s = time.monotonic() - began
    return found


def _write(out: TextIO, events: Iterable[Event]) -> int:
    """Write `events`; the highest number that one of them has, 0 if there are none."""
    numbers = [0]
    for event in events:
        out.write(json.dumps(asdict(event)) + "\n")
        numbers.append(event.number)
    out.flush()
    return max(numbers)


def run(args: argparse.Namespace) -> int:
    """What `aac-bench soak` does; returns the exit code: 1 if an aim is missed, 130 if stopped.

    Raises: AacStreamError if something that `args` names is not there or not possible.
    """
    if not HOURS[0] <= args.hours <= HOURS[1]:
        raise AacStreamError(f"hours: {args.hours:g} is not between {HOURS[0]:g} and {HOURS[1]:g}")
    config = StreamConfig(window_s=args.window_s, hop_s=args.hop_s)
    shelf = Shelf(_clips(args.corpus, args.seed), RATE, args.seed)
    source = ShelfSource(shelf, 3600.0 * args.hours, args.seed)
    total = round(60.0 * args.hours)
    with _stops(source), tqdm(total=total, desc="soak", unit="min", leave=False) as bar:
        found = soak(
            source,
            load_captioner(),
            config,
            lambda: bar.update(int(source.count.made_s / 60.0) - int(bar.n)),
        )
    print("\n".join(lines(found)))
    return 1 if found.missed() else 130 if found.stopped else 0


def _clips(corpus: Path | None, seed: int) -> list[Floats]:
    clips = [read_clip(SAMPLE, RATE)]
    if corpus is not None:
        from distill.corpus.dataset import read_clips

        known = read_clips(corpus)
        order = np.random.default_rng([seed, 5]).permutation(len(known))[:CLIPS]
        clips += [read_clip(known[place].path, RATE) for place in order]
    return clips


@contextmanager
def _stops(source: ShelfSource) -> Iterator[None]:
    """Ctrl-C ends `source` in order; once more ends it at once."""

    def stop(_number: int, _frame: object) -> None:
        source.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def lines(found: Soak) -> list[str]:
    """`found` for reading."""
    count, stats, here = found.count, found.stats, machine()
    windows = max(1, stats.windows)
    states = ", ".join(f"{state} {n / windows:.1%}" for state, n in found.states.most_common())
    missed = found.missed()
    rows = {
        "machine": f"{here.name}, {here.system}, Python {here.python}",
        "audio": f"{count.made_s / 3600.0:.2f} h from {count.devices} devices, {count.blocks} "
        "blocks" + (" (stopped by Ctrl-C)" if found.stopped else ""),
        "windows": f"{stats.windows}, one each {found.hop_s:g} s; {stats.skipped_windows} skipped",
        "states": states,
        "events": str(found.events),
        "gaps on purpose": f"{count.gaps}, {count.lost_s:.3f} s; told: {stats.lost_s:.3f} s",
        "lost or doubled": f"{count.stray} frames in the ring; the loop's clock is off by "
        f"{abs(stats.audio_s - count.clock_s):.6f} s",
        "memory": _memory(found.memory),
        "real-time factor": f"{stats.rtf:.4f} ({found.wall_s / 60.0:.1f} minutes for all)",
        "aims": "all met" if not missed else "MISSED: " + "; ".join(missed),
    }
    width = max(map(len, rows))
    return [f"{name:{width}}  {value}" for name, value in rows.items()]


def _memory(memory: Memory) -> str:
    growth = memory.growth_mb
    if growth is None or memory.settled_s is None:
        return f"peak {memory.peak_mb:.1f} MB; growth is known after two hours of audio and more"
    return (
        f"{memory.settled_mb:.2f} MB after {memory.settled_s / 3600.0:.2f} h, {memory.end_mb:.2f} "
        f"MB at the end: {growth:+.2f} MB; peak {memory.settled_peak_mb:.1f} MB until then, "
        f"{memory.peak_mb:.1f} MB in all"
    )
