"""Questions that the report asks of results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.plan import KEPT_UP
from benchmarks.results import Measurement, Result, Setting

# Each key of a setting: of one, of many, on the axis of a plot.
KEYS = {
    "window_s": ("window of {} s", "window of {} s", "window length, s"),
    "beam": ("{} beam", "{} beams", "beams"),
    "tokens": ("{} token", "{} tokens", "tokens"),
    "threads": ("{} thread", "{} threads", "threads"),
    "hop_s": ("a window each {} s", "a window each {} s", "seconds between windows"),
    "workers": ("{} worker", "{} workers", "workers"),
    "scenes": ("{} scene", "{} scenes", "scenes"),
    "evidence_s": ("evidence of {} s", "evidence of {} s", "evidence, s"),
    "encoded_s": ("{} s of it encoded anew", "{} s encoded anew", "encoded anew, s"),
    "microphones": ("{} microphone", "{} microphones", "microphones"),
}


@dataclass(frozen=True)
class Sweep:
    """Settings of which only `key` differs."""

    key: str
    values: list[float]
    fixed: Setting

    def at(self, value: float) -> Setting:
        """The setting of which `key` is `value`."""
        return {**self.fixed, self.key: value}


@dataclass(frozen=True)
class Limit:
    """How many microphones a system keeps up with."""

    most: int | None  # of those measured, the most with which it and all fewer kept up
    too_many: int | None  # of those measured, the fewest with which it did not


def machine_names(results: list[Result]) -> list[str]:
    """A name for each result's machine; the date, then the time, tells equal ones apart."""
    names = [plain(result.machine.name) for result in results]
    for added in (
        [plain(result.made[:10]) for result in results],
        [plain(result.made[11:]) for result in results],
        [str(number) for number, _ in enumerate(results, 1)],
    ):
        count = Counter(names)
        names = [f"{n}, {a}" if count[n] > 1 else n for n, a in zip(names, added, strict=True)]
    return names


def file_names(names: list[str]) -> list[str]:
    """For each of `names` another one, that any file system takes."""
    ascii_names = ("".join(c if c.isascii() and c.isalnum() else "-" for c in n) for n in names)
    return [f"{number}-{name.lower()}" for number, name in enumerate(ascii_names, 1)]


def plain(text: str) -> str:
    """`text` on one line, without what is no character of XML or UTF-8."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def systems(results: Iterable[Result]) -> list[str]:
    """Every system's name, in the order in which they come."""
    found: dict[str, None] = {}
    for result in results:
        found |= dict.fromkeys(system.name for system in result.systems)
        found |= dict.fromkeys(m.system for m in result.measurements)
    return list(found)


def speed_only(result: Result) -> set[str]:
    """The systems of random weights."""
    return {system.name for system in result.systems if system.speed_only}


def label(result: Result, system: str) -> str:
    """What tables and plots call `system`."""
    return plain(system) + (" (speed only)" if system in speed_only(result) else "")


def settings(result: Result, scenario: str, *metrics: str) -> list[Setting]:
    """The settings in which `scenario` was measured (by `metrics`, or by any), in order."""
    found = {
        tuple(sorted(m.setting.items())): m.setting
        for m in result.measurements
        if m.scenario == scenario and (not metrics or m.metric in metrics)
    }
    return [found[key] for key in sorted(found)]


def pick(result: Result, scenario: str, metric: str, setting: Setting) -> dict[str, Measurement]:
    """Each system's measurement, in the order of the systems."""
    found = {
        m.system: m
        for m in result.measurements
        if (m.scenario, m.metric, m.setting) == (scenario, metric, setting)
    }
    return {name: found[name] for name in systems([result]) if name in found}


def sweeps(found: list[Setting], key: str) -> list[Sweep]:
    """The groups of the settings `found` within which only `key` differs."""
    groups: dict[tuple[tuple[str, float], ...], list[float]] = {}
    for setting in found:
        if key in setting:
            fixed = tuple((k, v) for k, v in setting.items() if k != key)
            groups.setdefault(tuple(sorted(fixed)), []).append(setting[key])
    return [Sweep(key, sorted(values), dict(fixed)) for fixed, values in groups.items()]


def varied(found: list[Setting]) -> list[Sweep]:
    """Every sweep of two or more values, whichever key it is that differs."""
    keys = dict.fromkeys([*KEYS, *(key for setting in found for key in setting)])
    return [sweep for key in keys for sweep in sweeps(found, key) if len(sweep.values) > 1]


def microphone_limit(skipped: dict[int, float]) -> Limit:
    """The limit of a system; `skipped` is the share of windows, by number of microphones."""
    too_many = min((n for n, share in skipped.items() if share >= KEPT_UP), default=None)
    kept = [n for n in skipped if too_many is None or n < too_many]
    return Limit(max(kept, default=None), too_many)


def in_words(setting: Setting) -> str:
    """For example: 3 beams, 1 thread."""
    known = [key for key in KEYS if key in setting]
    others = [key for key in setting if key not in KEYS]
    return ", ".join([_in_words(key, setting[key]) for key in known + others])


def _in_words(key: str, value: float) -> str:
    one, many, _ = KEYS.get(key, (f"{plain(key)} {{}}",) * 3)
    return (one if value == 1 else many).format(f"{value:g}")


def axis(key: str) -> str:
    """What a plot calls the key of a setting."""
    return KEYS[key][2] if key in KEYS else plain(key)
