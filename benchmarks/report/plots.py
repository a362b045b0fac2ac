"""Which plots the report has, and what each shows in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.metrics import METRICS, shown
from benchmarks.plan import KEPT_UP
from benchmarks.report.drawing import Bars, Lines, Look, draw_bars, draw_lines, look
from benchmarks.report.reading import (
    Sweep,
    axis,
    in_words,
    label,
    pick,
    settings,
    sweeps,
)
from benchmarks.report.table import pivot_title
from benchmarks.report.tables import PARTS, loops, scaled
from benchmarks.results import Result, Setting

KEEPS_UP = (1.0, "1.0: above, it stops keeping up")
SKIPS = (KEPT_UP, f"{100 * KEPT_UP:g} %: above, it stops keeping up")

Looks = dict[str, Look]  # by system


@dataclass(frozen=True)
class Plot:
    """A drawn plot."""

    name: str  # of its file, without the suffix
    caption: str
    alt: str  # what it shows, in words
    svg: str

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.name}.svg"


def looks(systems: Iterable[str]) -> Looks:
    """One for each system, the same in every plot of a report."""
    return {system: look(i) for i, system in enumerate(systems)}


def scaling(result: Result, looks: Looks, prefix: str) -> list[Plot]:
    """A plot for each sweep; the names of the files begin with `prefix`."""
    return [
        _lines(result, looks, f"{prefix}scaling-{i}", "scaling", metric, sweep)
        for i, (metric, sweep) in enumerate(scaled(result), 1)
    ]


def stream(result: Result, looks: Looks, prefix: str) -> list[Plot]:
    """The real-time factor, and where the time of a window goes."""
    return [
        *_by(result, looks, f"{prefix}rtf", "stream", "rtf", "hop_s", KEEPS_UP),
        *(
            plot
            for i, setting in enumerate(loops(result), 1)
            for plot in _parts(result, f"{prefix}loop-{i}", setting)
        ),
    ]


def microphones(result: Result, looks: Looks, prefix: str) -> list[Plot]:
    """What is skipped, by microphones."""
    scenario = "microphones"
    return _by(result, looks, f"{prefix}{scenario}", scenario, "skipped_share", scenario, SKIPS)


def _by(
    result: Result,
    looks: Looks,
    name: str,
    scenario: str,
    metric: str,
    key: str,
    limit: tuple[float, str],
) -> list[Plot]:
    found = sweeps(settings(result, scenario, metric), key)
    return [
        _lines(result, looks, f"{name}-{i}", scenario, metric, sweep, limit)
        for i, sweep in enumerate(found, 1)
        if len(sweep.values) > 1
    ]


def _lines(
    result: Result,
    looks: Looks,
    name: str,
    scenario: str,
    metric: str,
    sweep: Sweep,
    limit: tuple[float, str] | None = None,
) -> Plot:
    points: dict[str, list[tuple[float, float]]] = {}
    for value in sweep.values:
        for system, m in pick(result, scenario, metric, sweep.at(value)).items():
            points.setdefault(system, []).append((value, m.median))
    ordered = [system for system in looks if system in points]
    title = pivot_title(metric, sweep)
    told = [
        f"{label(result, system)} from {shown(metric, points[system][0][1])} at "
        f"{in_words({sweep.key: points[system][0][0]})} to {shown(metric, points[system][-1][1])} "
        f"at {in_words({sweep.key: points[system][-1][0]})}"
        for system in ordered
    ]
    unit = METRICS[metric].unit
    lines = Lines(
        title,
        axis(sweep.key),
        METRICS[metric].title + (f", {unit}" if unit not in ("", "share") else ""),
        {label(result, system): points[system] for system in ordered},
        limit,
        percent=unit == "share",
    )
    svg = draw_lines(name, lines, {label(result, system): looks[system] for system in ordered})
    return Plot(name, f"{title}. Medians.", f"Lines by system. {'; '.join(told)}.", svg)


def _parts(result: Result, name: str, setting: Setting) -> list[Plot]:
    """Bars of the systems of which all is known."""
    totals = pick(result, "stream", "loop_ms", setting)
    parts = {part: pick(result, "stream", part, setting) for part in PARTS}
    known = [
        system
        for system, total in totals.items()
        if total.median > 0 and all(system in measured for measured in parts.values())
    ]
    if not known:
        return []
    shares = {
        METRICS[part].title: [measured[s].median / totals[s].median for s in known]
        for part, measured in parts.items()
    }
    ends = [shown("loop_ms", totals[system].median) for system in known]
    labels = [label(result, system) for system in known]
    title = f"Where the time of a window goes; {in_words(setting)}"
    bars = Bars(title, "share of the loop's time", shares, labels, ends)
    told = [
        f"{who} {end}: "
        + ", ".join(f"{part} {100 * values[i]:.0f} %" for part, values in shares.items())
        for i, (who, end) in enumerate(zip(labels, ends, strict=True))
    ]
    caption = f"{title}. Shares of the median; behind each bar, the whole."
    return [
        Plot(name, caption, f"A bar for each system. {'; '.join(told)}.", draw_bars(name, bars))
    ]
