"""The tables that are about more than one scenario."""

from __future__ import annotations

from benchmarks.metrics import METRICS, SAID, shown
from benchmarks.report.reading import in_words, label, plain, speed_only, systems
from benchmarks.report.table import (
    ABSENT,
    NOT_MEASURED,
    OF_WORDS,
    SPEED_ONLY,
    Table,
    title_of,
)
from benchmarks.report.tables import HOP_S
from benchmarks.results import Measurement, Result

# What a first look is at: the scenario, the metric, and the hop where there are several.
GLANCE = (
    ("size", "model_mb", None),
    ("window", "encoder_ms", None),
    ("window", "token_ms", None),
    ("window", "whole_ms", None),
    ("stream", "rtf", HOP_S),
    ("memory", "peak_mb", None),
    *(("quality", metric, None) for metric in SAID),
)


def glance(results: list[Result], names: list[str]) -> list[Table]:
    """Every system on every machine that measured it, by the figures that matter most."""
    rows, chosen = [], []
    measured = {m.metric for result in results for m in result.measurements}
    columns = [what for what in GLANCE if what[1] in measured]
    for system in systems(results):
        for result, name in zip(results, names, strict=True):
            found = [_chosen(result, system, *what) for what in columns]
            if any(found):
                machine = [name] if len(results) > 1 else []
                noise = system in speed_only(result)
                figures = [_figure(m, noise) for m in found]
                rows.append([label(result, system), *machine, *figures])
                chosen += [m for m in found if m]
    notes = ["1 thread, if nothing else is said.", *_conditions(chosen)]
    if any(ABSENT in row for row in rows):
        notes.append(NOT_MEASURED)
    if any(row[0].endswith("(speed only)") for row in rows):
        notes.append(SPEED_ONLY)
    words = ["system", "machine"] if len(results) > 1 else ["system"]
    header = [*words, *(METRICS[metric].title for _, metric, _ in columns)]
    return [Table("", " ".join(notes), header, rows, len(words))] if rows else []


def _chosen(
    result: Result, system: str, scenario: str, metric: str, hop_s: float | None
) -> Measurement | None:
    return _of_one_thread(
        [
            m
            for m in result.measurements
            if (m.scenario, m.metric, m.system) == (scenario, metric, system)
            and (hop_s is None or m.setting.get("hop_s") == hop_s)
        ]
    )


def _figure(m: Measurement | None, noise: bool) -> str:
    if m is None:
        return ABSENT
    if noise and m.metric in OF_WORDS:
        return "noise"
    threads = m.setting.get("threads", 1)
    return shown(m.metric, m.median) + ("" if threads == 1 else f" ({threads:g} threads)")


def _conditions(chosen: list[Measurement]) -> list[str]:
    """For the metrics of each scenario the settings they are of."""
    titles: dict[str, dict[str, None]] = {}
    found: dict[str, dict[str, None]] = {}
    for m in chosen:
        setting = in_words({key: value for key, value in m.setting.items() if key != "threads"})
        titles.setdefault(m.scenario, {})[METRICS[m.metric].title] = None
        found.setdefault(m.scenario, {})[setting] = None
    return [
        title_of(f"{', '.join(titles[scenario])}: {' or '.join(settings)}.")
        for scenario, settings in found.items()
        if all(settings)
    ]


def _of_one_thread(found: list[Measurement]) -> Measurement | None:
    """That of 1 thread, or of the only number of threads there is."""
    for m in found:
        if m.setting.get("threads", 1) == 1:
            return m
    return found[0] if len({m.setting["threads"] for m in found}) == 1 else None


def missing(result: Result) -> list[Table]:
    """All that was asked for and not measured, with the reason."""
    rows = [
        [plain(system.name), "all", "", f"{plain(system.status)}: {plain(system.why)}"]
        for system in result.systems
        if system.status != "ok"
    ]
    rows += [
        [plain(m.system), plain(m.scenario), in_words(m.setting), plain(m.why)]
        for m in result.missing
    ]
    header = ["system", "scenario", "setting", "why"]
    return [Table("", "", header, rows, len(header))] if rows else []


def described(result: Result) -> list[Table]:
    """What each system is."""
    rows = [
        [label(result, s.name), *map(plain, (s.model, s.runtime, s.device))] for s in result.systems
    ]
    note = SPEED_ONLY if speed_only(result) else ""
    header = ["system", "model", "runtime", "device"]
    return [Table("", note, header, rows, len(header))] if rows else []


def machines(results: list[Result], names: list[str]) -> list[Table]:
    """Where the results are from, a column each."""
    columns = [_machine(result) for result in results]
    rows = [[key, *(column[key] for column in columns)] for key in columns[0]] if columns else []
    return [Table("", "", ["", *names], rows, len(names) + 1)] if rows else []


def _machine(result: Result) -> dict[str, str]:
    m = result.machine
    found = {
        "CPU": m.cpu,
        "cores": f"{m.cores}, logical, that the run may use",
        "instructions": " ".join(m.flags) or "none of those that matter here",
        "memory": f"{m.memory_mb:,} MB",
        "GPU": m.gpu or "none",
        "system": m.system,
        "Python": m.python,
        "packages": ", ".join(f"{name} {version}" for name, version in sorted(m.packages.items())),
        "load at the start": f"{m.load:.2f}",
        METRICS["reference_ms"].title: _reference(result),
        "recording": result.recording,
        "corpus": result.corpus or "none",
        "code": result.code,
        "date": result.made,
        "command": " ".join(result.command),
    }
    return {key: plain(value) or ABSENT for key, value in found.items()}


def _reference(result: Result) -> str:
    """How fast the machine was as it measured, whatever our code is."""
    found = _of_one_thread([m for m in result.measurements if m.metric == "reference_ms"])
    return shown("reference_ms", found.median) if found else ""
