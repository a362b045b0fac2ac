"""The page of a calibration: what was picked, its curve, and what it comes to by background."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.gate.curve import BEFORE, NO_GATE, Heard, Thresholds, counted, lines
from benchmarks.gate.grounds import KINDS
from benchmarks.gate.hear import Stretch
from benchmarks.machine import machine
from benchmarks.report.drawing import Lines, draw_lines, look
from distill.evaluation.metrics import wilson

OVER_DB = ((0.0, 6.0), (6.0, 12.0), (12.0, 20.0), (20.0, 31.0))
ABSENT = "–"


def page(
    found: dict[str, tuple[Heard, Sequence[Stretch]]], picks: Thresholds, ships: Thresholds
) -> str:
    """Markdown of what was `found`, by split; `picks` are of `val`, all else is of `test`."""
    heard, stretches = found["test"]
    here = machine()
    blocks = [
        f"Picked on `val`: {_said(picks)}. In the settings: {_said(ships)}. "
        f"{here.cpu}, {here.cores} cores.",
        _settings(found, picks, ships),
        _by_ground(heard, stretches, ships),
        _by_level(heard, ships),
        _by_label([one for _, its in found.values() for one in its], ships),
    ]
    return "\n\n".join(blocks) + "\n"


def plot(heard: Heard, ships: Thresholds) -> str:
    """SVG of the curves of `heard`, and of where settings lie on them."""
    points = lines(heard)
    for name, at in (("before there was a gate", BEFORE), ("the settings", ships)):
        outcome = heard.outcome(at)
        points[name] = [(outcome.missed_share, outcome.false_mean)]
    in_percent = {
        name: [(round(100.0 * missed, 1), false) for missed, false in of]
        for name, of in points.items()
    }
    drawn = Lines(
        "What the gate misses, against what it lets through",
        "events that the model knows and nobody is told of, %",
        "captions an hour of background alone",
        in_percent,
    )
    return draw_lines("gate", drawn, {name: look(i) for i, name in enumerate(points)})


def _said(at: Thresholds) -> str:
    return (
        f"`quiet_db` {at.quiet_db:g}, `novelty_db` {at.novelty_db:g}, "
        f"`min_confidence` {at.min_confidence:g}"
    )


def _settings(
    found: dict[str, tuple[Heard, Sequence[Stretch]]], picks: Thresholds, ships: Thresholds
) -> str:
    rows = []
    for split, (heard, _) in found.items():
        tried = {"no gate": NO_GATE, "before there was one": BEFORE}
        tried |= {"picked": picks} if picks != ships else {}
        for name, at in {**tried, "the settings": ships}.items():
            out = heard.outcome(at)
            rows.append(
                [
                    f"{split}: {name}",
                    _share(out.missed, out.known),
                    f"{out.false_mean:.0f}",
                    _of(out.slept_mean),
                    _of(out.untrue),
                ]
            )
    header = [
        "clips: thresholds",
        "missed",
        "captions an hour of background",
        "the model sleeps",
        "captions of an event in silence that do not name it",
    ]
    return _table(header, rows)


def _by_ground(heard: Heard, stretches: Sequence[Stretch], ships: Thresholds) -> str:
    before, after = heard.outcome(BEFORE), heard.outcome(ships)
    misses = heard.misses(ships)
    rows = []
    for kind, title in KINDS.items():
        if kind not in after.false:
            continue
        its = [m for m, c in zip(misses, heard.chances, strict=True) if c.kind == kind]
        shown = [_shown_s(s, ships) for s in stretches if s.kind == kind]
        lengths = [s for s in shown if s]
        rows.append(
            [
                title,
                _share(sum(its), len(its)),
                f"{before.false[kind]:.0f}",
                f"{after.false[kind]:.0f}",
                _of(after.slept[kind]),
                f"{len(lengths)} of {len(shown)}",
                f"{statistics.median(lengths):.0f} s" if lengths else ABSENT,
            ]
        )
    header = [
        "background",
        "missed",
        "captions an hour, before",
        "with the gate",
        "the model sleeps",
        "captioned at first",
        "until",
    ]
    return _table(header, rows)


def _shown_s(stretch: Stretch, at: Thresholds) -> float:
    """When the last window of `stretch` is captioned; 0 if none is."""
    return max((w.end_s for w in stretch.windows if at.captions(w)), default=0.0)


def _by_level(heard: Heard, ships: Thresholds) -> str:
    rows = []
    for low, high in OVER_DB:
        row = [f"{low:g} to {min(high, 30.0):g} dB over the background"]
        for at in (BEFORE, ships):
            its = [
                missed
                for missed, chance in zip(heard.misses(at), heard.chances, strict=True)
                if low <= chance.over_db < high
            ]
            row.append(_share(sum(its), len(its)))
        rows.append(row)
    return _table(["an event", "missed, before", "missed, with the gate"], rows)


def _by_label(stretches: Sequence[Stretch], ships: Thresholds) -> str:
    """Of recordings, of both splits, how often the model still sees them after a minute."""
    rows = []
    for label in sorted({one.label for one in stretches} - {""}):
        its = [one for one in stretches if one.label == label]
        seen = [w.novelty_db >= ships.novelty_db for one in its for w in counted(one)]
        rows.append([label, f"{len(its)}", _of(1.0 - sum(seen) / len(seen))])
    return _table(["recordings of", "backgrounds", "the model sleeps, after a minute"], rows)


def _share(hits: int, total: int) -> str:
    if not total:
        return ABSENT
    low, high = wilson(hits, total)
    return f"{hits / total:.1%} of {total} ({low:.0%} to {high:.0%})"


def _of(share: float) -> str:
    return f"{share:.0%}"


def _table(header: list[str], rows: list[list[str]]) -> str:
    rules = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, rules, *rows])
