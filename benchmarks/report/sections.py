"""What the report consists of, before it is Markdown or HTML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.report import overview, plots, tables
from benchmarks.report.plots import Looks, Plot
from benchmarks.report.reading import file_names, machine_names, systems
from benchmarks.report.table import Table
from benchmarks.results import Result


@dataclass(frozen=True)
class Section:
    """Tables and plots about one question."""

    title: str
    intro: str
    parts: list[Table | Plot]


@dataclass(frozen=True)
class Report:
    """All that is rendered."""

    title: str
    warnings: list[str]
    sections: list[Section]

    def plots(self) -> list[Plot]:
        """All of them, in order."""
        return [part for s in self.sections for part in s.parts if isinstance(part, Plot)]


@dataclass(frozen=True)
class Chapter:
    """A section in which each machine has its tables and plots."""

    title: str
    intro: str
    tables: Callable[[Result], list[Table]]
    plots: Callable[[Result, Looks, str], list[Plot]] | None = None


CHAPTERS = (
    Chapter(
        "One window",
        "From the sound of one window to its caption, step by step and with a fixed number of "
        "tokens: medians of all samples, and what 95 and 99 of 100 whole windows do not exceed.",
        tables.window,
    ),
    Chapter(
        "How it grows",
        "The same, as one thing changes and the others stay as they are.",
        tables.scaling,
        plots.scaling,
    ),
    Chapter("Start", "From the start of a process to its first caption.", tables.start),
    Chapter(
        "The streaming loop",
        "A recording, as fast as the loop can take it in. The real-time factor is computing time "
        "per second of audio: below 1 the loop keeps up with a microphone.",
        tables.stream,
        plots.stream,
    ),
    Chapter("In real time", "The loop at the pace of a microphone.", tables.live),
    Chapter(
        "The caption track",
        "Scenes with known times: a sound counts as named once an event says it, as it sounds.",
        tables.track,
    ),
    Chapter(
        "Work shared between windows",
        "What the loop does not do, for captions do not hold: windows of 5.12 s, of which only "
        "the newest part is encoded; the rest is kept from the windows before.",
        tables.sharing,
    ),
    Chapter(
        "Several microphones",
        "A system keeps up with as many as it skips less than 1 % of the windows of, if it also "
        "does with every smaller number that was measured.",
        tables.microphones,
        plots.microphones,
    ),
    Chapter("A folder of recordings", "As many at once as there are workers.", tables.batch),
    Chapter("Memory", "Resident, of the process that captions.", tables.memory),
    Chapter("Size", "What it takes up on a disk.", tables.size),
    Chapter("Captions", "What is said, not how fast.", tables.quality),
    Chapter("Not measured", "What was asked for and has no figure, and why.", overview.missing),
    Chapter("The systems", "A model on a runtime on a device.", overview.described),
)


def build(results: list[Result]) -> Report:
    """The report of `results`; what none of them measured has no section.

    Raises: ResultError if there is something to plot and no matplotlib.
    """
    names = machine_names(results)
    looks = plots.looks(systems(results))
    sections = [
        Section("At a glance", "", [*overview.glance(results, names)]),
        *(_section(chapter, results, names, looks) for chapter in CHAPTERS),
        Section("The machines", "", [*overview.machines(results, names)]),
    ]
    return Report(
        "aac-stream on " + (names[0] if len(names) == 1 else f"{len(names)} machines"),
        [warning for r, name in zip(results, names, strict=True) for warning in _warnings(r, name)],
        [section for section in sections if section.parts],
    )


def _section(chapter: Chapter, results: list[Result], names: list[str], looks: Looks) -> Section:
    """Of one machine, or of several one after the other, by name."""
    parts: list[Table | Plot] = []
    for result, name, file in zip(results, names, file_names(names), strict=True):
        prefix = f"{file}-" if len(results) > 1 else ""
        drawn = chapter.plots(result, looks, prefix) if chapter.plots else []
        found = chapter.tables(result)
        if len(results) > 1:
            drawn = [replace(plot, caption=f"{name}: {plot.caption}") for plot in drawn]
            found = [replace(t, title=f"{name}: {t.title}" if t.title else name) for t in found]
        parts += [*drawn, *found]
    return Section(chapter.title, chapter.intro, parts)


def _warnings(result: Result, name: str) -> list[str]:
    found = []
    if not result.complete:
        found.append(
            f"This result is partial: the run on {name} did not come to its end, and what it had "
            "not measured by then is not here."
        )
    if not result.measurements:
        found.append(f"Nothing was measured on {name}.")
    return found
