"""The tables of each scenario, from results to the words in their cells."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.metrics import METRICS, QUALITY, shown
from benchmarks.ratios import ratio_of_rounds
from benchmarks.report.reading import (
    Sweep,
    in_words,
    label,
    microphone_limit,
    pick,
    plain,
    settings,
    systems,
    varied,
)
from benchmarks.report.table import (
    ABSENT,
    Cells,
    Table,
    by_metric,
    cells,
    make_table,
    pivot,
    pivots,
    title_of,
)
from benchmarks.results import Measurement, Result, Setting

HOP_S = 1.0  # the loop as it ships
PARTS = (
    "loop_features_ms",
    "loop_encoder_ms",
    "loop_decoder_ms",
    "loop_search_ms",
    "loop_rest_ms",
)
TRACK = (
    "sound_to_event_s",
    "events_named",
    "events_true",
    "start_error_s",
    "end_error_s",
    "lines_per_minute",
    "changes_per_minute",
)
LIVE = ("cpu_share", "delay_ms", "sound_to_caption_s", "sounds_named", "skipped_share")


def window(result: Result) -> list[Table]:
    """A table for each setting; what a system cannot give has a reason in its place."""
    tables = []
    for setting in settings(result, "window"):
        wholes = pick(result, "window", "whole_ms", setting)
        columns = {
            METRICS[metric].title: cells(result, "window", metric, setting)
            for metric in ("features_ms", "encoder_ms", "token_ms", "whole_ms")
        }
        columns["whole, p95"] = {name: shown("whole_ms", m.p95) for name, m in wholes.items()}
        columns["whole, p99"] = {name: shown("whole_ms", m.p99) for name, m in wholes.items()}
        note = ""
        if wholes:
            first = next(iter(wholes))
            columns[f"as long as {label(result, first)}"] = _ratios(wholes)
            note = _rounds(list(wholes.values()))
        measured = {name for column in columns.values() for name in column}
        reasons = {
            name: why
            for name, why in _reasons(result, "window", setting).items()
            if name not in measured
        }
        tables += make_table(result, title_of(in_words(setting)), columns, note, reasons)
    return tables


def scaling(result: Result) -> list[Table]:
    """Each sweep that the settings hold, by the whole window and, for its length, the encoder."""
    return [
        found
        for metric, sweep in scaled(result)
        for found in pivot(result, "scaling", metric, sweep)
    ]


def scaled(result: Result) -> list[tuple[str, Sweep]]:
    """What tables and plots of scaling are about, in order: a metric, and what varies."""
    return [("whole_ms", sweep) for sweep in varied(settings(result, "scaling", "whole_ms"))] + [
        ("encoder_ms", sweep)
        for sweep in varied(settings(result, "scaling", "encoder_ms"))
        if sweep.key == "window_s"
    ]


def start(result: Result) -> list[Table]:
    """Cold start, by threads."""
    return pivots(result, "start", "cold_start_s", "threads")


def stream(result: Result) -> list[Table]:
    """The real-time factor, and where the time of a window goes."""
    tables = pivots(result, "stream", "rtf", "hop_s")
    for setting in loops(result):
        totals = pick(result, "stream", "loop_ms", setting)
        columns = {METRICS["loop_ms"].title: cells(result, "stream", "loop_ms", setting)}
        for part in PARTS:
            columns[METRICS[part].title] = {
                name: shown(part, m.median) + _share(m, totals.get(name))
                for name, m in pick(result, "stream", part, setting).items()
            }
        columns[METRICS["loop_tokens"].title] = cells(result, "stream", "loop_tokens", setting)
        title = f"Where the time of a window goes; {in_words(setting)}"
        note = "Medians, each of its own: the parts need not add up to the whole."
        tables += make_table(result, title, columns, note)
    return tables


def loops(result: Result) -> list[Setting]:
    """The settings of the loop as it ships of which the parts are known."""
    found = settings(result, "stream", "loop_ms", *PARTS)
    return [setting for setting in found if setting.get("hop_s") == HOP_S]


def live(result: Result) -> list[Table]:
    """The loop in real time; a table for each hop."""
    tables = []
    for setting in settings(result, "live", *LIVE):
        columns = {}
        for metric in LIVE:
            columns[METRICS[metric].title] = cells(result, "live", metric, setting)
            if metric == "delay_ms":
                delays = pick(result, "live", metric, setting)
                columns["the same, p95"] = {n: shown(metric, m.p95) for n, m in delays.items()}
        tables += make_table(result, title_of(in_words(setting)), columns)
    return tables


def track(result: Result) -> list[Table]:
    """The events of the caption track; a table for each system, a row for each setting."""
    return _by_setting(result, "track", TRACK)


def sharing(result: Result) -> list[Table]:
    """The same, where windows share the encoder's work."""
    return _by_setting(result, "sharing", ("encoder_ms", *TRACK))


def _by_setting(result: Result, scenario: str, metrics: Sequence[str]) -> list[Table]:
    tables = []
    for name in systems([result]):
        rows = []
        for setting in settings(result, scenario, *metrics):
            found = {m: cells(result, scenario, m, setting).get(name, ABSENT) for m in metrics}
            if set(found.values()) != {ABSENT}:
                rows.append([title_of(in_words(setting)), *found.values()])
        if rows:
            header = ["setting", *(METRICS[metric].title for metric in metrics)]
            tables.append(Table(label(result, name), "", header, rows))
    return tables


def batch(result: Result) -> list[Table]:
    """A folder of recordings, by workers."""
    return pivots(result, "batch", "audio_s_per_s", "workers")


def memory(result: Result) -> list[Table]:
    """Peak and growth."""
    return by_metric(result, "memory", ("peak_mb", "growth_mb"))


def size(result: Result) -> list[Table]:
    """On disk."""
    return by_metric(result, "size", ("model_mb", "install_mb"))


def quality(result: Result) -> list[Table]:
    """What the systems say."""
    return by_metric(result, "quality", QUALITY)


def microphones(result: Result) -> list[Table]:
    """How many microphones each system keeps up with."""
    keeps, fails, loads = Cells(), Cells(), Cells()
    for name in systems([result]):
        skipped = _by_microphones(result, name, "skipped_share")
        if not skipped:
            continue
        limit = microphone_limit(skipped)
        keeps[name] = f"fewer than {limit.too_many}" if limit.most is None else f"{limit.most}"
        fails[name] = f"more than {limit.most}" if limit.too_many is None else f"{limit.too_many}"
        cpu = _by_microphones(result, name, "cpu_share")
        if limit.most in cpu:
            loads[name] = shown("cpu_share", cpu[limit.most])
    columns = {
        "keeps up with": keeps,
        "no longer with": fails,
        f"{METRICS['cpu_share'].title}, at the most it keeps up with": loads,
    }
    return make_table(result, "", columns)


def _by_microphones(result: Result, system: str, metric: str) -> dict[int, float]:
    return {
        int(m.setting["microphones"]): m.median
        for m in result.measurements
        if (m.scenario, m.metric, m.system) == ("microphones", metric, system)
        and "microphones" in m.setting
    }


def _ratios(wholes: dict[str, Measurement]) -> Cells:
    first = next(iter(wholes))
    found = {name: ratio_of_rounds(m, wholes[first]) for name, m in wholes.items()}
    written = {name: f"{ratio:.{1 if ratio >= 10 else 2}f} times" for name, ratio in found.items()}
    return {**written, first: "x 1.0"}


def _rounds(measured: list[Measurement]) -> str:
    rounds = {len(m.rounds) for m in measured}
    how_many = f"{rounds.pop()} rounds" if len(rounds) == 1 else "Rounds"
    return f"{how_many} in which the systems take turns; the ratio is the median of theirs."


def _reasons(result: Result, scenario: str, setting: Setting) -> Cells:
    """Why a system has no figures, of all that were to be measured."""
    found = {
        missing.system: f"not measured: {plain(missing.why)}"
        for missing in result.missing
        if (missing.scenario, missing.setting) == (scenario, setting)
    }
    for system in result.systems:
        if system.status != "ok":
            found[system.name] = ": ".join(filter(None, map(plain, (system.status, system.why))))
        found.setdefault(system.name, "not measured")
    return found


def _share(part: Measurement, total: Measurement | None) -> str:
    return f" ({100 * part.median / total.median:.0f} %)" if total and total.median > 0 else ""
