"""The README's headline tables, from a result file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from benchmarks.metrics import METRICS, shown
from benchmarks.ratios import ratio_of_rounds
from benchmarks.results import Measurement, Result, ResultError, Setting, SystemState

START, END = "<!-- benchmark:headline -->", "<!-- /benchmark -->"
SHIPS, ON_GPU = "int8/onnx", "teacher-cuda"
TITLES = {  # in the order of the table
    SHIPS: "the student that ships (int8, ONNX Runtime)",
    "fp32/onnx": "the same student in fp32 (ONNX Runtime)",
    "fp32/torch": "the same student in eager PyTorch (fp32)",
    "published": "the paper's published student, in its own eager code",
    "teacher": "the teacher (HTSAT + BART)",
    ON_GPU: "the teacher (HTSAT + BART) on a GPU",
}
# What a device notices: the scenario, the metric, and which of its settings.
DEVICE: tuple[tuple[str, str, Setting], ...] = (
    ("size", "model_mb", {}),
    ("start", "cold_start_s", {}),
    ("stream", "rtf", {"hop_s": 1}),
    ("live", "cpu_share", {"hop_s": 1}),
    ("live", "sound_to_caption_s", {"hop_s": 1}),
    ("memory", "peak_mb", {}),
)
ON_DEVICE = (SHIPS, "fp32/onnx")
MARK = "¹"
SPEED_ONLY = f"{MARK} Speed only: its weights are random, which does not change how fast it is."


def headline(result: Result) -> str:
    """How long a whole window takes, and how many times as long as with the student that ships.

    Raises: ResultError if `result` does not hold the student that ships on one thread.
    """
    setting = _setting(result)
    ships = _whole(result, SHIPS, setting)
    assert ships
    states = {state.name: state for state in result.systems}
    lines = [
        _conditions(result, setting, len(ships.rounds)),
        "",
        "| system | whole window | times as long as the student that ships |",
        "| --- | ---: | ---: |",
    ]
    marked = False
    for name, title in TITLES.items():
        state, whole = states.get(name), _whole(result, name, setting)
        if name == ON_GPU and state:
            figures = _on_gpu(result, state, whole, ships)
            title += f" ({state.device})" if whole and state.status == "ok" else ""
        elif whole:
            figures = _figures(whole, ships)
        else:
            continue
        speed_only = state is not None and state.speed_only
        marked = marked or speed_only
        lines.append(f"| {title}{MARK if speed_only else ''} | {figures} |")
    return "\n".join([*lines, *(["", SPEED_ONLY] if marked else []), *_on_device(result)])


def update(path: Path, text: str) -> bool:
    """Put `text` between the markers in the Markdown file `path`; returns whether that changed it.

    Raises: ResultError if the markers are not there once each, in their order.
    """
    try:
        old = path.read_bytes().decode("utf-8")  # the rest keeps its ends of lines
    except (OSError, UnicodeDecodeError) as error:
        raise ResultError(f"{path}: cannot be read ({error})") from None
    before, start, rest = old.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end or old.count(START) != 1 or old.count(END) != 1:
        raise ResultError(f"{path}: must hold {START} once and {END} once, in this order")
    new = f"{before}{START}\n{text.strip()}\n{END}{after}"
    if new == old:
        return False
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(new.encode("utf-8"))
        part.replace(path)
    except OSError as error:
        raise ResultError(f"{path}: cannot be written ({error.strerror})") from None
    return True


def _on_device(result: Result) -> list[str]:
    """The table of what a device notices, as far as `result` knows it."""
    found = {
        metric: {m.system: m for m in result.measurements if _is(m, scenario, metric, setting)}
        for scenario, metric, setting in DEVICE
    }
    metrics = [metric for metric, of in found.items() if SHIPS in of]
    if not metrics:
        return []
    lines = [
        "",
        f"| a window each second | {' | '.join(METRICS[m].title for m in metrics)} |",
        f"| --- | {' | '.join('---:' for _ in metrics)} |",
    ]
    for name in ON_DEVICE:
        cells = [
            shown(metric, found[metric][name].median) if name in found[metric] else "–"
            for metric in metrics
        ]
        lines.append(f"| {TITLES[name]} | {' | '.join(cells)} |")
    return lines


def _is(m: Measurement, scenario: str, metric: str, setting: Setting) -> bool:
    return (m.scenario, m.metric) == (scenario, metric) and setting.items() <= m.setting.items()


def _setting(result: Result) -> Setting:
    """That on one thread of the student that ships; of several, that of the most systems."""
    found = [m for m in result.measurements if m.scenario == "window" and m.metric == "whole_ms"]
    systems = Counter(_key(m.setting) for m in found if m.system in TITLES)
    settings = [m.setting for m in found if m.system == SHIPS and m.setting.get("threads") == 1]
    if not settings:
        raise ResultError(
            f"the result of {result.made} has no window of {SHIPS} on 1 thread; "
            "measure that system in the scenario window"
        )
    return max(settings, key=lambda setting: systems[_key(setting)])


def _key(setting: Setting) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(setting.items()))


def _whole(result: Result, system: str, setting: Setting) -> Measurement | None:
    for m in result.measurements:
        if (m.scenario, m.system, m.metric) == ("window", system, "whole_ms"):
            # The threads of the CPU are nothing to a GPU.
            same = m.setting | {"threads": 1} if system == ON_GPU else m.setting
            if same == setting:
                return m
    return None


def _conditions(result: Result, setting: Setting, rounds: int) -> str:
    machine = result.machine
    window, beam, tokens = (setting[key] for key in ("window_s", "beam", "tokens"))
    return (
        f"{machine.cpu} ({machine.cores} cores), {machine.system}, Python {machine.python}. "
        f"Windows of {window:g} s, {tokens:g} tokens, beam {beam:g}, 1 thread, {rounds} rounds; "
        "medians."
    )


def _figures(whole: Measurement, ships: Measurement) -> str:
    if whole is ships:
        return f"{shown('whole_ms', whole.median)} | 1"
    ratio = ratio_of_rounds(whole, ships)
    return f"{shown('whole_ms', whole.median)} | {ratio:.{2 if ratio < 10 else 1}f}"


def _on_gpu(
    result: Result, state: SystemState, whole: Measurement | None, ships: Measurement
) -> str:
    if state.status == "ok" and whole:
        return _figures(whole, ships)
    if state.status == "ok":
        missing = [m.why for m in result.missing if (m.scenario, m.system) == ("window", ON_GPU)]
        why = missing[0] if missing else "not in this run"
    else:
        why = state.why or state.status
    return f"not measured: {why.replace('|', '/')} | "
