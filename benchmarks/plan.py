"""Which settings of which scenario are measured, and of which systems."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.machine import cores
from benchmarks.results import Measurement, Setting
from benchmarks.systems import System

# As long as the clips of the paper; its students say at most 20 tokens, with 3 beams.
BASE: Setting = {"window_s": 10.0, "beam": 3, "tokens": 20, "threads": 1}
WINDOWS_S = (2.0, 5.0, 10.0, 20.0, 30.0)
BEAMS = (1, 2, 3, 5, 8)
HOPS_S = (0.5, 1.0, 2.0)
MORE_HOPS_S = (0.1, 0.25, 5.0)
MICROPHONES = (1, 4, 16, 32, 64, 96, 128, 160, 192, 256, 384, 512)
TRACK: Setting = {"window_s": 5.0, "hop_s": 1.0, "evidence_s": 1.3}
TRACKS = {
    "evidence_s": (0.0, 0.8, 1.3, 1.6, 2.0),
    "hop_s": (0.5, 1.0, 2.0),
    "window_s": (3.0, 5.0),
}
ENCODED_S = (5.12, 3.52, 2.88, 2.24, 1.92)  # of windows of 5.12 s; the first is all
KEPT_UP = 0.01  # of the windows; if fewer are skipped, a box keeps up


@dataclass(frozen=True)
class Scenario:
    """What is measured together: its systems take turns, round by round, in each setting."""

    name: str  # of a module in `benchmarks.scenarios`
    about: str
    settings: Sequence[Setting]
    of: Callable[[System], bool]
    rounds: int  # at most; a figure that is the same each time needs one
    fresh: bool = False  # a new process for every round
    paced: bool = False  # the reference takes its turn with the systems
    until: str = ""  # a share: once it is not below `KEPT_UP`, further settings are not tried

    def ends(self, taken: Measurement) -> bool:
        """Whether the system of `taken` need not be tried in further settings."""
        return taken.metric == self.until and taken.median >= KEPT_UP

    def module(self, system: System) -> str:
        """Of `benchmarks.scenarios`, what measures `system`."""
        return "reference" if system.kind == "reference" else self.name


def _any(_: System) -> bool:
    return True


def _student(system: System) -> bool:
    return system.captions


def _on_device(system: System) -> bool:
    """What a device would run: eager PyTorch is no choice there, and compiles for minutes."""
    return system.kind == "bundle"


def scenarios(rounds: int, scenes: int) -> list[Scenario]:
    """All of them, those first that answer most; `scenes` beside the clips of a corpus, if any."""
    few = min(rounds, 3)
    hops: list[Setting] = [{"hop_s": hop, "threads": 1} for hop in sorted(HOPS_S + MORE_HOPS_S)]
    batch: list[Setting] = [{"workers": cores()}]
    quality: Setting = {"scenes": scenes} if scenes else {}
    microphones: list[Setting] = [{"microphones": count} for count in MICROPHONES]
    return [
        Scenario("window", "one window, part by part", _windows(), _any, rounds, paced=True),
        Scenario("start", "from start to first caption", [BASE], _any, few, fresh=True),
        Scenario("memory", "peak and growth", [BASE], _any, 1),
        Scenario("size", "model and installed packages", [{}], _student, 1),
        Scenario("quality", "what it says", [quality], _student, 1),
        Scenario("stream", "the loop, as fast as it goes", hops, _on_device, rounds, paced=True),
        Scenario("batch", "a folder of recordings", batch, _on_device, few, paced=True),
        Scenario(
            "scaling", "other windows, beams, threads", _scaled(), _on_device, few, paced=True
        ),
        Scenario("track", "events on scenes with known times", _tracks(), _ships, 1),
        Scenario(
            "sharing",
            "encoder work shared between windows",
            [{"encoded_s": encoded} for encoded in ENCODED_S],
            _ships,
            1,
        ),
        Scenario("live", "in real time", [{"hop_s": hop} for hop in HOPS_S], _on_device, 1),
        Scenario(
            "microphones", "several at once", microphones, _on_device, 1, until="skipped_share"
        ),
    ]


def _ships(system: System) -> bool:
    """What a track says depends on the captions alone, and those little on the runtime."""
    return system.kind == "bundle" and system.runtime == "onnx"


def _tracks() -> list[Setting]:
    """The defaults, with one value at a time replaced."""
    found = [{**TRACK, key: value} for key, values in TRACKS.items() for value in values]
    return [setting for place, setting in enumerate(found) if setting not in found[:place]]


def _windows() -> list[Setting]:
    return [BASE, {**BASE, "threads": cores()}] if cores() > 1 else [BASE]


def _scaled() -> list[Setting]:
    """`BASE` with one value at a time replaced."""
    threads = [count for count in (1, 2, 4, 8, 16) if count <= cores()]
    found: list[Setting] = []
    for key, values in {"window_s": WINDOWS_S, "beam": BEAMS, "threads": threads}.items():
        found += [{**BASE, key: value} for value in values]
    return [setting for place, setting in enumerate(found) if setting not in found[:place]]
