"""One report of the results of any number of machines: Markdown, a page, CSV and plots."""

from __future__ import annotations

from pathlib import Path

from benchmarks.report import markdown, page, table_csv
from benchmarks.report.reading import machine_names
from benchmarks.report.sections import build
from benchmarks.results import Result, ResultError


def write_report(results: list[Result], out: Path) -> list[Path]:
    """Write the report of `results` into the folder `out`, which is made if it is not there.

    Returns: the files: report.md, report.html, report.csv, and the plots. Raises: ResultError.
    """
    report = build(results)
    texts = {
        "report.md": markdown.render(report),
        "report.html": page.render(report),
        "report.csv": table_csv.render(results, machine_names(results)),
        **{plot.file: f"{plot.svg}\n" for plot in report.plots()},
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (out / name).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ResultError(f"{out}: the report cannot be written ({error.strerror})") from None
    return [out / name for name in texts]
