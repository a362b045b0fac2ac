"""The report as one HTML page that loads nothing."""

from __future__ import annotations

from html import escape

from benchmarks.report.plots import Plot
from benchmarks.report.sections import Report, Section
from benchmarks.report.table import Table

STYLE = """
:root { color-scheme: light dark; --page: #fcfcfb; --text: #1c1d1f; --soft: #5c6067;
  --line: #dcdee1; --stripe: #f3f4f4; --link: #0b5cad; --warn: #fff3d6; --edge: #b87a00; }
@media (prefers-color-scheme: dark) {
  :root { --page: #17181a; --text: #e6e7e9; --soft: #a3a8b0; --line: #383b40;
    --stripe: #1f2124; --link: #7fb8f5; --warn: #3a2f12; --edge: #e0a93b; } }
body { margin: 0; background: var(--page); color: var(--text);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 2rem 1.25rem 5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.35rem; margin: 3.25rem 0 .4rem; padding-top: .8rem;
  border-top: 1px solid var(--line); }
p { max-width: 44rem; margin: .4rem 0 1rem; }
a { color: var(--link); text-underline-offset: .15em; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; }
.warning { background: var(--warn); border-left: 4px solid var(--edge); padding: .6rem 1rem; }
.wide { overflow-x: auto; margin: 1.25rem 0 .4rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
h3 { font-size: 1rem; margin: 1.75rem 0 -.5rem; }
th, td { padding: .34rem .8rem; text-align: right; vertical-align: top;
  border-bottom: 1px solid var(--line); }
td { white-space: nowrap; }
thead th { vertical-align: bottom; font-weight: 600; color: var(--soft); min-width: 4.5rem;
  border-bottom: 2px solid var(--line); }
tbody th { font-weight: 600; white-space: nowrap; }
th:first-child { text-align: left; padding-left: 0; position: sticky; left: 0;
  background: var(--page); }
.words { text-align: left; }
td.words { white-space: normal; min-width: 6rem; overflow-wrap: anywhere; }
td.instead { color: var(--soft); font-style: italic; text-align: left; }
.note { font-size: .85rem; color: var(--soft); }
figure { margin: 1.5rem 0; max-width: 60rem; }
figure div { overflow-x: auto; background: #fff; border: 1px solid var(--line);
  border-radius: .5rem; padding: .75rem; }
figure svg { display: block; width: 100%; min-width: 34rem; height: auto; }
figcaption { font-size: .85rem; color: var(--soft); margin-top: .4rem; }
@media (max-width: 40rem) { tbody th { white-space: normal; } }
@media print { .wide, figure div { overflow: visible; } figure, tr { break-inside: avoid; } }
"""


def render(report: Report) -> str:
    """HTML."""
    title = escape(report.title)
    contents = "\n".join(
        f'<li><a href="#{_anchor(section)}">{escape(section.title)}</a></li>'
        for section in report.sections
    )
    warnings = "\n".join(
        f'<p class="warning" role="note">{escape(words)}</p>' for words in report.warnings
    )
    sections = "\n".join(map(_section, report.sections))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{warnings}
<nav aria-label="Contents">
<ul>
{contents}
</ul>
</nav>
{sections}
</main>
</body>
</html>
"""


def _section(section: Section) -> str:
    intro = f"<p>{escape(section.intro)}</p>\n" if section.intro else ""
    parts = "\n".join(
        _plot(part) if isinstance(part, Plot) else _table(part, part.title or section.title)
        for part in section.parts
    )
    anchor = _anchor(section)
    return (
        f'<section aria-labelledby="{anchor}">\n<h2 id="{anchor}">{escape(section.title)}</h2>\n'
        f"{intro}{parts}\n</section>"
    )


def _table(table: Table, name: str) -> str:
    title = f"<h3>{escape(table.title)}</h3>\n" if table.title else ""
    head = "".join(
        f'<th scope="col"{_aligned(table, column)}>{escape(cell)}</th>' if cell else "<td></td>"
        for column, cell in enumerate(table.header)
    )
    body = "\n".join(_row(table, row) for row in table.rows)
    note = f'\n<p class="note">{escape(table.note)}</p>' if table.note else ""
    # The box scrolls where the table is wider than the screen, so the keyboard must reach it.
    return (
        f'{title}<div class="wide" role="region" tabindex="0" aria-label="{escape(name)}">\n'
        f"<table>\n<thead>\n<tr>{head}</tr>\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>{note}"
    )


def _row(table: Table, row: list[str]) -> str:
    cells = [f"<td{_aligned(table, column)}>{escape(cell)}</td>" for column, cell in enumerate(row)]
    rest = len(table.header) - len(row)
    if rest:
        cells[-1] = f'<td class="instead" colspan="{rest + 1}">{escape(row[-1])}</td>'
    return f'<tr><th scope="row">{escape(row[0])}</th>{"".join(cells[1:])}</tr>'


def _aligned(table: Table, column: int) -> str:
    return ' class="words"' if column < table.words else ""


def _plot(plot: Plot) -> str:
    svg = plot.svg.replace("<svg ", f'<svg role="img" aria-label="{escape(plot.alt)}" ', 1)
    return (
        f"<figure>\n<div>\n{svg.strip()}\n</div>\n"
        f"<figcaption>{escape(plot.caption)}</figcaption>\n</figure>"
    )


def _anchor(section: Section) -> str:
    return section.title.lower().replace(" ", "-")
