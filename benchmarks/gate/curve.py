"""What thresholds miss and let through, and which of them are picked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.gate.grounds import KINDS, NEVER
from benchmarks.gate.hear import WINDOW, Chance, Stretch, Window
from edge.streaming.event_tracker import EventTrackerSpec

LOST = 0.01  # of the events that would be told of without a gate: more may not be missed
SHOWN = 0.15  # missed, at most, in the plot
AFTER_S = 60.0  # of a background: from then on, nothing is to be said of it
QUIET_DB = tuple(float(db) for db in range(-80, -39, 5))
NOVELTY_DB = (0.0, *(float(db) for db in range(3, 31)))
CONFIDENCE = tuple(round(0.02 * step, 2) for step in range(46))


@dataclass(frozen=True)
class Thresholds:
    """As in the settings; a window is captioned if it is not below any of them."""

    quiet_db: float = -200.0
    novelty_db: float = 0.0
    min_confidence: float = 0.0

    def captions(self, window: Window) -> bool:
        """Whether anything is said of `window`."""
        return bool(_captioned(_columns([window]), self)[0])


NO_GATE = Thresholds()
BEFORE = Thresholds(quiet_db=-65.0, min_confidence=0.3)  # before there was a gate, by feel
SHIPS = Thresholds(WINDOW.quiet_db, WINDOW.novelty_db, WINDOW.min_confidence)


@dataclass(frozen=True)
class Outcome:
    """What follows from thresholds."""

    known: int  # events that the track is told of without a gate
    missed: int  # of these
    untrue: float  # share of the captions of events, in silence, that do not name them
    false: dict[str, float]  # captions an hour of background alone, by kind
    slept: dict[str, float]  # share of these windows that the model never sees, by kind

    @property
    def missed_share(self) -> float:
        return self.missed / max(1, self.known)

    @property
    def false_mean(self) -> float:
        """Over the kinds, each as much as another."""
        return float(np.mean(list(self.false.values())))

    @property
    def slept_mean(self) -> float:
        return float(np.mean(list(self.slept.values())))


class Heard:
    """Windows as arrays, to try many thresholds on."""

    def __init__(self, chances: Sequence[Chance], stretches: Sequence[Stretch]) -> None:
        most = max((len(chance.windows) for chance in chances), default=0)
        tables = {id(chance): _columns(chance.windows, most) for chance in chances}
        self.chances = [c for c in chances if _told(tables[id(c)], NO_GATE)]
        self._known = [tables[id(chance)] for chance in self.chances]
        self._plain = [tables[id(chance)] for chance in chances if chance.kind in NEVER]
        self._alone = {
            kind: _columns([w for s in stretches if s.kind == kind for w in counted(s)])
            for kind in KINDS
            if any(s.kind == kind for s in stretches)
        }

    def misses(self, at: Thresholds) -> list[bool]:
        """Of each of `chances`, whether the track is no longer given enough to tell of it."""
        told: list[bool] = _told(np.stack(self._known), at).tolist() if self._known else []
        return [not one for one in told]

    def missed_share(self, at: Thresholds) -> float:
        """Of `chances`."""
        return sum(self.misses(at)) / max(1, len(self.chances))

    def outcome(self, at: Thresholds) -> Outcome:
        """What follows from the thresholds `at`."""
        an_hour = 3600.0 / WINDOW.hop_s
        plain = np.concatenate(self._plain) if self._plain else _columns([])
        said = plain[_captioned(plain, at)]
        return Outcome(
            known=len(self.chances),
            missed=sum(self.misses(at)),
            untrue=float(1.0 - said[:, TRUE].mean()) if len(said) else 0.0,
            false={k: an_hour * _captioned(c, at).mean() for k, c in self._alone.items()},
            slept={k: 1.0 - float(_open(c, at).mean()) for k, c in self._alone.items()},
        )


def counted(stretch: Stretch) -> list[Window]:
    """The windows of which nothing is to be said."""
    after = 0.0 if stretch.kind in NEVER else AFTER_S
    return [window for window in stretch.windows if window.end_s > after]


LEVEL, NOVELTY, SURE, SAID, TRUE = range(5)


def _columns(windows: Sequence[Window], rows: int = 0) -> NDArray[np.float64]:
    """A row for each window, filled up to `rows` rows with ones of silence."""
    table = [
        [w.level_db, w.novelty_db, w.confidence, float(bool(w.text)), float(w.true)]
        for w in windows
    ]
    silence = [-np.inf, 0.0, 0.0, 0.0, 0.0]
    return np.array(table + [silence] * (rows - len(table)), np.float64).reshape(-1, 5)


def _open(columns: NDArray[np.float64], at: Thresholds) -> NDArray[np.bool_]:
    return (columns[..., LEVEL] >= at.quiet_db) & (columns[..., NOVELTY] >= at.novelty_db)


def _captioned(columns: NDArray[np.float64], at: Thresholds) -> NDArray[np.bool_]:
    sure = (columns[..., SURE] >= at.min_confidence) & (columns[..., SAID] > 0.0)
    return _open(columns, at) & sure


def _told(columns: NDArray[np.float64], at: Thresholds) -> NDArray[np.bool_]:
    """Whether the windows (..., windows, columns) that name an event are enough for the track."""
    named = _captioned(columns, at) * columns[..., TRUE] * columns[..., SURE]
    return named.sum(axis=-1) * WINDOW.hop_s >= EventTrackerSpec().evidence_s


def picked(heard: Heard) -> Thresholds:
    """The most novelty that misses no more than `LOST`, at the level of the settings.

    Then the most confidence that misses no event more. The level is not picked: how loud events
    are at a microphone is made up here.
    """
    level = replace(NO_GATE, quiet_db=SHIPS.quiet_db)
    novel = [replace(level, novelty_db=db) for db in NOVELTY_DB]
    best = [at for at in novel if heard.missed_share(at) <= LOST][-1:] or novel[:1]
    sure = [replace(best[0], min_confidence=p) for p in CONFIDENCE]
    missed = sum(heard.misses(best[0]))
    return next(at for at in reversed(sure) if sum(heard.misses(at)) == missed)


def lines(heard: Heard) -> dict[str, list[tuple[float, float]]]:
    """Share of missed events and captions an hour of background, as a threshold is moved."""
    level = replace(NO_GATE, quiet_db=SHIPS.quiet_db)
    return {
        "level": _curve(heard, [replace(NO_GATE, quiet_db=db) for db in QUIET_DB]),
        "confidence": _curve(heard, [replace(NO_GATE, min_confidence=p) for p in CONFIDENCE]),
        "novelty": _curve(heard, [replace(level, novelty_db=db) for db in NOVELTY_DB]),
    }


def _curve(heard: Heard, tried: list[Thresholds]) -> list[tuple[float, float]]:
    points = [(o.missed_share, o.false_mean) for o in map(heard.outcome, tried)]
    return [point for point in dict.fromkeys(points) if point[0] <= SHOWN]
