"""The report as CSV: a row for each measurement, for whoever makes a table of their own."""

from __future__ import annotations

import csv
import io

from benchmarks.metrics import METRICS
from benchmarks.report.reading import plain
from benchmarks.results import Measurement, Result, SystemState

BEFORE = ["machine", "scenario"]
AFTER = ["system", "model", "runtime", "device", "speed_only", "metric", "unit"]
FIGURES = ["median", "p95", "p99", "rounds", "count"]


def render(results: list[Result], names: list[str]) -> str:
    """CSV in which every key of a setting has a column."""
    keys = list(dict.fromkeys(k for r in results for m in r.measurements for k in m.setting))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*BEFORE, *map(plain, keys), *AFTER, *FIGURES])
    for result, name in zip(results, names, strict=True):
        states = {state.name: state for state in result.systems}
        for m in result.measurements:
            setting = [f"{m.setting[key]:g}" if key in m.setting else "" for key in keys]
            state = _state(states.get(m.system))
            writer.writerow(
                [name, plain(m.scenario), *setting, plain(m.system), *state, *_figures(m)]
            )
    return text.getvalue()


def _state(state: SystemState | None) -> list[str]:
    if state is None:
        return ["", "", "", ""]
    return [*map(plain, (state.model, state.runtime, state.device)), str(state.speed_only).lower()]


def _figures(m: Measurement) -> list[str | float]:
    unit = METRICS[m.metric].unit if m.metric in METRICS else ""
    return [plain(m.metric), unit, m.median, m.p95, m.p99, len(m.rounds), m.count]
