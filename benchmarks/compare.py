"""What changed from one result to another beyond noise, in Markdown."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.metrics import METRICS, QUALITY, shown
from benchmarks.ratios import Doubles, resampled_medians
from benchmarks.results import Machine, Measurement, Result
from benchmarks.systems import REFERENCE

SEED = 1
RESAMPLES = 2_000
MIN_ROUNDS = 3  # fewer have no interval
# Between two runs of the same code, memory lies elsewhere, the clock and the neighbours differ: a
# systematic difference, which the rounds within a run cannot show.
MARGIN = 0.03
# Bytes on disk, and what the same model says of the same audio: run again, they are the same.
DETERMINISTIC = {"model_mb", "install_mb", *QUALITY}
# Mostly spent waiting for audio, which a slow machine does not lengthen.
WAITED = {"sound_to_caption_s"}
PACKAGES = ("onnxruntime", "openvino", "torch", "numpy")
VERDICTS = ("worse", "better", "changed")  # in the order of the table
SAME, UNKNOWN = "same", "too few rounds"

Where = tuple[str, tuple[tuple[str, float], ...]]  # a scenario, and its setting
Key = tuple[str, tuple[tuple[str, float], ...], str, str]  # these, and system, metric


@dataclass(frozen=True)
class Pace:
    """How many times as long the machine itself took in B; shape of `draws` = (RESAMPLES,)."""

    ratio: float
    draws: Doubles


@dataclass(frozen=True)
class Change:
    """What became of one measurement."""

    key: Key
    a: float  # median of the rounds, and so is
    b: float
    verdict: str  # one of VERDICTS, SAME or UNKNOWN
    size: float  # 0 to 1 and more: the difference as a share of the larger value
    words: str  # by how much


def compare(a: Result, b: Result) -> str:
    """What changed from `a` to `b` beyond noise, worse first, as Markdown."""
    rng = np.random.default_rng(SEED)
    before, after = _by_key(a), _by_key(b)
    paces = _paces(a, b, rng)
    # Where the reference did not run beside a system, it is the one that ran first.
    first = next(iter(paces.values()), None)
    changes = [
        _change(key, before[key], after[key], paces.get(key[:2], first), rng)
        for key in before
        if key in after
    ]
    parts = [
        _header(a, b),
        _warning(a.machine, b.machine),
        _of_the_machine(list(paces.values())),
        _table(changes),
        _rest(changes),
        _only("A", before, after),
        _only("B", after, before),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _by_key(result: Result) -> dict[Key, Measurement]:
    return {
        (*_where(m), m.system, m.metric): m
        for m in result.measurements
        if m.system != REFERENCE.name
    }


def _where(m: Measurement) -> Where:
    return m.scenario, tuple(sorted(m.setting.items()))


def _paces(a: Result, b: Result, rng: np.random.Generator) -> dict[Where, Pace]:
    """By where the reference ran in both, for MIN_ROUNDS or more."""
    first, second = _references(a), _references(b)
    found = {}
    for where in first:
        rounds = [first[where], second.get(where, [])]
        if min(map(len, rounds)) >= MIN_ROUNDS:
            draws_a, draws_b = (resampled_medians(r, RESAMPLES, rng) for r in rounds)
            ratio = statistics.median(rounds[1]) / statistics.median(rounds[0])
            found[where] = Pace(ratio, draws_b / draws_a)
    return found


def _references(result: Result) -> dict[Where, list[float]]:
    return {_where(m): m.rounds for m in result.measurements if m.system == REFERENCE.name}


def _power(metric: str) -> int:
    """To which power of the pace a value of B is multiplied, to be what it were at A's pace."""
    if metric == "audio_s_per_s":
        return 1
    timed = METRICS[metric].unit in ("ms", "s") or metric in ("rtf", "cpu_share")
    return -1 if timed and metric not in WAITED else 0


def _change(
    key: Key, a: Measurement, b: Measurement, pace: Pace | None, rng: np.random.Generator
) -> Change:
    metric, power = a.metric, _power(a.metric)
    before, measured = statistics.median(a.rounds), statistics.median(b.rounds)
    after = measured * pace.ratio**power if pace else measured
    of_ratio = min(a.rounds + b.rounds) > 0.0  # at and below 0, a ratio has no meaning
    differ = shown(metric, before) != shown(metric, after)
    interval: tuple[float, float] | None = None
    if metric in DETERMINISTIC:
        beyond = differ
    elif min(len(a.rounds), len(b.rounds)) < MIN_ROUNDS:
        return Change(key, before, measured, UNKNOWN, 0.0, "")
    else:
        draws_a, draws_b = (resampled_medians(m.rounds, RESAMPLES, rng) for m in (a, b))
        if pace:
            draws_b = draws_b * pace.draws**power
        effect = draws_b / draws_a if of_ratio else draws_b - draws_a
        low, high = interval = _interval(effect)
        nothing = 1.0 if of_ratio else 0.0
        # Of differences, one that is not seen in the figures is none: 3 % of almost 0 is nothing.
        beyond = (
            not low <= nothing <= high
            and abs(after - before) > MARGIN * min(abs(before), abs(after))
            and (of_ratio or differ)
        )
    if not beyond:
        return Change(key, before, measured, SAME, 0.0, "")
    size = abs(after - before) / max(abs(before), abs(after))
    words = _in_words(metric, of_ratio, after / before if of_ratio else after - before, interval)
    return Change(key, before, measured, _verdict(metric, after > before), size, words)


def _interval(draws: Doubles) -> tuple[float, float]:
    """The 95 % interval."""
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(low), float(high)


def _verdict(metric: str, more: bool) -> str:
    better = METRICS[metric].better
    if not better:
        return "changed"
    return "better" if more == (better == "more") else "worse"


def _in_words(
    metric: str, of_ratio: bool, value: float, interval: tuple[float, float] | None
) -> str:
    """For example "1.20 times (1.15 to 1.26)"."""

    def of(number: float) -> str:
        if of_ratio:
            return f"{number:.2f}"
        if METRICS[metric].unit == "share":  # a percentage would be taken for a ratio
            return f"{100.0 * number:+.{METRICS[metric].digits}f}"
        return f"{'+' if number > 0.0 else ''}{shown(metric, number)}"

    unit = " times" if of_ratio else " points" if METRICS[metric].unit == "share" else ""
    ends = f" ({of(interval[0])} to {of(interval[1])})" if interval else ""
    return of(value) + unit + ends


def _header(a: Result, b: Result) -> str:
    def where(machine: Machine) -> str:
        return f"{machine.name}: {machine.cpu}, {machine.cores} cores, {machine.system}"

    def when(result: Result) -> str:
        return result.made + ("" if result.complete else " (not complete)")

    return "\n".join(
        [
            "# From A to B",
            "",
            "| | A | B |",
            "| --- | --- | --- |",
            f"| machine | {where(a.machine)} | {where(b.machine)} |",
            f"| code | {a.code} | {b.code} |",
            f"| made | {when(a)} | {when(b)} |",
        ]
    )


def _warning(a: Machine, b: Machine) -> str:
    pairs = [("cpu", a.cpu, b.cpu), ("cores", str(a.cores), str(b.cores))]
    for name in PACKAGES:
        pairs.append((name, a.packages.get(name, "none"), b.packages.get(name, "none")))
    differ = [f"{name} {first} and {second}" for name, first, second in pairs if first != second]
    return f"**Warning: the machines differ: {'; '.join(differ)}.**" if differ else ""


def _of_the_machine(paces: list[Pace]) -> str:
    if not paces:
        return (
            f"The reference did not run in both for {MIN_ROUNDS} rounds or more: where the machine "
            "itself was slower, that is in the changes."
        )
    said = sorted({f"{pace.ratio:.2f}" for pace in paces}, key=float)
    times = said[0] if len(said) == 1 else f"{said[0]} to {said[-1]}"
    return (
        f"The machine itself took {times} times as long in B. The changes of times are without "
        "that, the figures of A and B as measured."
    )


def _table(changes: list[Change]) -> str:
    found = [change for change in changes if change.verdict in VERDICTS]
    if not found:
        return "Nothing changed beyond noise." if changes else "Nothing was measured in both."
    lines = ["| scenario | system | metric | A | B | change (95 % interval) | |"]
    lines.append("| --- | --- | --- | ---: | ---: | ---: | --- |")
    for change in sorted(found, key=lambda c: (VERDICTS.index(c.verdict), -c.size)):
        scenario, setting, system, metric = change.key
        cells = [
            _scenario(scenario, setting),
            system,
            METRICS[metric].title,
            shown(metric, change.a),
            shown(metric, change.b),
            change.words,
            change.verdict,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _rest(changes: list[Change]) -> str:
    verdicts = Counter(change.verdict for change in changes)
    lines = []
    if changes:
        lines.append(f"{verdicts[SAME]} of {len(changes)} did not change beyond noise.")
    if verdicts[UNKNOWN]:
        # By metric: what has too few rounds has them for every system.
        titles = dict.fromkeys(
            METRICS[change.key[3]].title for change in changes if change.verdict == UNKNOWN
        )
        lines.append(f"Of {verdicts[UNKNOWN]}, too few rounds to say: {', '.join(titles)}.")
    return "\n".join(lines)


def _only(name: str, here: dict[Key, Measurement], there: dict[Key, Measurement]) -> str:
    alone = dict.fromkeys(_alone(here, there))
    return f"Only in {name}: {'; '.join(alone)}." if alone else ""


def _alone(here: dict[Key, Measurement], there: dict[Key, Measurement]) -> Iterator[str]:
    """The largest thing each of the keys only `here` belongs to that is not `there`."""
    scenarios, systems = {key[0] for key in there}, {key[2] for key in there}
    settings = {key[:2] for key in there}
    both = {key[:3] for key in there}
    for scenario, setting, system, metric in here:
        if (scenario, setting, system, metric) in there:
            continue
        if scenario not in scenarios:
            yield f"the scenario {scenario}"
        elif system not in systems:
            yield f"the system {system}"
        elif (scenario, setting) not in settings:
            yield _scenario(scenario, setting)
        elif (scenario, setting, system) not in both:
            yield f"{system} in {_scenario(scenario, setting)}"
        else:
            yield f"{METRICS[metric].title} in {_scenario(scenario, setting)}"


def _scenario(name: str, setting: tuple[tuple[str, float], ...]) -> str:
    values = ", ".join(f"{key}={value:g}" for key, value in setting)
    return f"{name} ({values})" if values else name
