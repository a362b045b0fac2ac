"""The report as Markdown."""

from __future__ import annotations

import re

from benchmarks.report.plots import Plot
from benchmarks.report.sections import Report
from benchmarks.report.table import Table

SPECIAL = re.compile(r"([\\`*\[\]<>|&])")  # names come from outside, and may look like markup


def render(report: Report) -> str:
    """Markdown; the plots are files beside it."""
    blocks = [f"# {_text(report.title)}", *(f"**{_text(note)}**" for note in report.warnings)]
    for section in report.sections:
        blocks += [f"## {_text(section.title)}", _text(section.intro)]
        for part in section.parts:
            blocks += _plot(part) if isinstance(part, Plot) else _table(part)
    return "\n\n".join(filter(None, blocks)) + "\n"


def _table(table: Table) -> list[str]:
    left, right = table.words, len(table.header) - table.words
    lines = [
        _row(table.header),
        "|" + " --- |" * left + " ---: |" * right,
        *(_row([*row, *[""] * (len(table.header) - len(row))]) for row in table.rows),
    ]
    return [f"### {_text(table.title)}" if table.title else "", "\n".join(lines), _text(table.note)]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(map(_text, cells)) + " |"


def _plot(plot: Plot) -> list[str]:
    return [f"![{_text(plot.alt)}]({plot.file})", _text(plot.caption)]


def _text(text: str) -> str:
    return SPECIAL.sub(r"\\\1", text)
