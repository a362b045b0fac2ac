"""A table, from measurements to the words in its cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.metrics import METRICS, QUALITY, shown
from benchmarks.report.reading import (
    Sweep,
    axis,
    in_words,
    label,
    pick,
    settings,
    speed_only,
    sweeps,
    systems,
)
from benchmarks.results import Result, Setting

ABSENT = "–"
NOT_MEASURED = f"{ABSENT}: not measured."
SPEED_ONLY = (
    "Speed only: the weights are random, so what it says is noise; how fast it is does not "
    "change by that."
)
OF_WORDS = {"sound_to_caption_s", "sounds_named", *QUALITY}  # noise, where weights are random

Cells = dict[str, str]  # by system


@dataclass(frozen=True)
class Table:
    """What Markdown and HTML show alike."""

    title: str  # empty where the section's says it
    note: str  # below it; empty if there is nothing to say
    header: list[str]
    rows: list[list[str]]  # where one is shorter than `header`, its last cell is for all the rest
    words: int = 1  # so many columns from the left hold words, the others figures


def make_table(
    result: Result,
    title: str,
    columns: dict[str, Cells],
    note: str = "",
    reasons: Cells | None = None,
) -> list[Table]:
    """A row for each system that has a cell in `columns`, or in `reasons` a sentence instead.

    Returns: one table, or none if there is no cell at all.
    """
    reasons = reasons or {}
    columns = {heading: column for heading, column in columns.items() if column}
    rows, names = [], []
    for name in systems([result]):
        row = [column.get(name, ABSENT) for column in columns.values()]
        if set(row) <= {ABSENT}:
            row = [reasons[name]] if name in reasons else []
        if row:
            rows.append([label(result, name), *row])
            names.append(name)
    notes = [note] if note else []
    if any(ABSENT in row for row in rows):
        notes.append(NOT_MEASURED)
    if speed_only(result) & set(names):
        notes.append(SPEED_ONLY)
    return [Table(title, " ".join(notes), ["system", *columns], rows)] if columns else []


def cells(result: Result, scenario: str, metric: str, setting: Setting) -> Cells:
    """The medians, by system; where it is of words, noise is called so."""
    noise = speed_only(result) if metric in OF_WORDS else set()
    return {
        name: "noise" if name in noise else shown(metric, m.median)
        for name, m in pick(result, scenario, metric, setting).items()
    }


def by_metric(result: Result, scenario: str, metrics: Sequence[str]) -> list[Table]:
    """A column for each of `metrics`; a table for each setting."""
    return [
        found
        for setting in settings(result, scenario, *metrics)
        for found in make_table(
            result,
            title_of(in_words(setting)),
            {METRICS[m].title: cells(result, scenario, m, setting) for m in metrics},
        )
    ]


def pivots(result: Result, scenario: str, metric: str, key: str) -> list[Table]:
    """A column for each value of `key`; a table for each of what else differs."""
    return [
        found
        for sweep in sweeps(settings(result, scenario, metric), key)
        for found in pivot(result, scenario, metric, sweep)
    ]


def pivot(result: Result, scenario: str, metric: str, sweep: Sweep) -> list[Table]:
    """A column for each value of `sweep`."""
    if len(sweep.values) == 1:
        setting = sweep.at(sweep.values[0])
        columns = {METRICS[metric].title: cells(result, scenario, metric, setting)}
        return make_table(result, title_of(in_words(setting)), columns)
    columns = {
        in_words({sweep.key: value}): cells(result, scenario, metric, sweep.at(value))
        for value in sweep.values
    }
    return make_table(result, pivot_title(metric, sweep), columns)


def pivot_title(metric: str, sweep: Sweep) -> str:
    """For example: Whole window by beams; window of 10 s, 1 thread."""
    rest = f"; {in_words(sweep.fixed)}" if sweep.fixed else ""
    return title_of(f"{METRICS[metric].title} by {axis(sweep.key).removesuffix(', s')}{rest}")


def title_of(words: str) -> str:
    """`words`, as a title begins."""
    return words[:1].upper() + words[1:]
