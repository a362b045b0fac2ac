"""Figures as SVG: lines by system, and bars of parts."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.results import ResultError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of Okabe and Ito, which those who do not see some colours can tell apart, less yellow and with
# grey for black. With 5 markers and 3 dashes beside 7 colours, 105 systems look different.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#595959")
MARKERS = ("o", "s", "^", "D", "v")
DASHES = ("-", "--", ":")
# Of Paul Tol's light scheme, for the parts of a bar: none of them is a system's.
PARTS = ("#77aadd", "#ee8866", "#eedd88", "#ffaabb", "#dddddd")

TICKS = 14  # labels that an axis has room for

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "aac-stream",  # the same identifiers each time
    "text.parse_math": False,  # a name may hold a dollar
    "font.size": 10,
    "axes.edgecolor": "#595959",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.titlesize": 11,
}


@dataclass(frozen=True)
class Look:
    """How a system looks in every plot."""

    colour: str
    marker: str
    dash: str


@dataclass(frozen=True)
class Lines:
    """Lines by system, to be drawn."""

    title: str
    x: str
    y: str
    points: dict[str, list[tuple[float, float]]]  # by the system's label
    limit: tuple[float, str] | None = None  # a level, and what it is
    percent: bool = False  # y is a share of 1


@dataclass(frozen=True)
class Bars:
    """A bar for each system, of the shares of its parts."""

    title: str
    x: str
    parts: dict[str, list[float]]  # by the part's name, one for each system
    systems: list[str]  # labels
    ends: list[str]  # what is written behind the bars


def look(index: int) -> Look:
    """That of the system that comes as number `index`."""
    dash = DASHES[index // len(COLOURS) % len(DASHES)]
    return Look(COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)], dash)


def draw_lines(name: str, lines: Lines, looks: dict[str, Look]) -> str:
    """SVG of `lines`; a scale of logarithms where values differ much."""
    xs = sorted({x for points in lines.points.values() for x, _ in points})
    ys = [y for points in lines.points.values() for _, y in points]
    if lines.limit:
        ys.append(lines.limit[0])

    def written(y: float, _: object) -> str:
        return f"{100 * y:g} %" if lines.percent else f"{y:g}"

    with _figure(8.0, max(3.8, 0.9 + 0.22 * len(lines.points))) as figure:
        axes = figure.subplots()
        for i, (label, points) in enumerate(lines.points.items()):
            of = looks[label]
            axes.plot(
                [x for x, _ in points],
                [y for _, y in points],
                of.dash,
                color=of.colour,
                marker=of.marker,
                markersize=5,
                label=label,
                gid=f"line-{i}",
            )
        if lines.limit:
            level, words = lines.limit
            axes.axhline(level, color="#262626", linestyle=(0, (6, 3)), gid="limit", label=words)
        if _in_logarithms(xs):
            axes.set_xscale("log")
        ticks = _apart(xs)
        axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
        axes.xaxis.minorticks_off()
        if _in_logarithms(ys):
            axes.set_yscale("log", subs=[2, 5])
            axes.yaxis.set_minor_formatter(written if max(ys) < 300 * min(ys) else "")
        else:
            axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(written)
        axes.set_xlabel(lines.x)
        axes.set_ylabel(lines.y)
        figure.suptitle(lines.title, x=0.01, ha="left")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right center")
        return _svg(figure, name)


def draw_bars(name: str, bars: Bars) -> str:
    """SVG of `bars`, from top to bottom."""
    places = range(len(bars.systems))
    with _figure(8.0, 1.5 + 0.42 * len(places)) as figure:
        axes = figure.subplots()
        left = [0.0] * len(places)
        for i, (part, shares) in enumerate(bars.parts.items()):
            drawn = axes.barh(
                places,
                shares,
                0.7,
                left,
                color=PARTS[i % len(PARTS)],
                edgecolor="white",
                label=part,
            )
            for j, bar in enumerate(drawn):
                bar.set_gid(f"bar-{i}-{j}")
            words = [f"{100 * share:.0f} %" if share >= 0.06 else "" for share in shares]
            axes.bar_label(drawn, words, label_type="center", fontsize=9)
            left = [a + b for a, b in zip(left, shares, strict=True)]
        for place, end, whole in zip(places, left, bars.ends, strict=True):
            axes.text(end + 0.01, place, whole, va="center", fontsize=9)
        axes.set_yticks(places, bars.systems)
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.set_xlim(0, max(left) * 1.14)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
        axes.set_xlabel(bars.x)
        figure.suptitle(bars.title, x=0.01, ha="left")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5)
        return _svg(figure, name)


@contextmanager
def _figure(width: float, height: float) -> Iterator[Figure]:
    """A figure of our style whatever the user's is; without pyplot, which wants a screen."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise ResultError(
            "the report's plots need matplotlib; type: pip install 'aac-stream[bench]'"
        ) from None
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield Figure(figsize=(width, height), layout="constrained")


def _apart(xs: list[float]) -> list[float]:
    """Those of the sorted `xs` whose labels have room beside each other."""
    at = [math.log(x) for x in xs] if _in_logarithms(xs) else xs
    room = (at[-1] - at[0]) / TICKS
    kept: list[int] = []
    for i, place in enumerate(at):
        if not kept or place - at[kept[-1]] >= room:
            kept.append(i)
    return [xs[i] for i in kept]


def _in_logarithms(values: list[float]) -> bool:
    """Whether a scale of logarithms reads better."""
    return min(values) > 0 and max(values) > 8 * min(values)


def _svg(figure: Figure, name: str) -> str:
    """The SVG element alone; its identifiers start with `name`, as a page may hold many of them."""
    text = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(text, format="svg", metadata=nothing)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    return re.sub(r'( id="| xlink:href="#|url\(#)', rf"\g<1>{name}-", svg)
