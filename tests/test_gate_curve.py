"""How thresholds of the gate are picked, and what is counted as missed and as false."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.cli import main
from benchmarks.gate.curve import BEFORE, NO_GATE, SHIPS, Heard, Thresholds, lines, picked
from benchmarks.gate.grounds import GROUND_S, grounds
from benchmarks.gate.hear import Chance, Stretch, Window
from benchmarks.gate.page import page, plot
from distill.scenes.audibility import level_db
from distill.scenes.noise import RATE, shaped_noise


def window(
    end_s: float = 70.0,
    level: float = -30.0,
    novelty: float = 20.0,
    sure: float = 0.8,
    text: str = "a dog barks",
    true: bool = False,
) -> Window:
    return Window(end_s, level, novelty, sure, text, true)


def event(novelty: float, sure: float = 0.8, kind: str = "pink", windows: int = 5) -> Chance:
    its = [window(novelty=novelty, sure=sure, true=True)] * windows
    return Chance(kind, "Bark", 10.0, its)


def rain(novelty: float, kind: str = "even", seconds: int = 120) -> Stretch:
    text = "rain falls"
    its = [window(float(s), novelty=novelty, sure=0.9, text=text) for s in range(5, seconds + 1)]
    return Stretch(kind, "Rain", its)


# Of a hundred events, one stands out by 8 dB; the others do by 15, and one of them is less sure.
EVENTS = [event(8.0), event(15.0, sure=0.4), *[event(15.0)] * 98]


def test_one_event_in_a_hundred_is_given_for_silence_and_none_for_confidence() -> None:
    assert picked(Heard(EVENTS, [])) == Thresholds(SHIPS.quiet_db, 15.0, 0.4)


def test_what_may_not_be_missed_bounds_what_is_picked() -> None:
    heard = Heard([event(8.0), event(9.0), *[event(15.0)] * 98], [])
    found = picked(heard)
    assert found.novelty_db == 9.0
    assert heard.missed_share(found) <= 0.01
    quiet = Heard([Chance("pink", "Bark", 10.0, [window(level=-90.0, true=True)] * 5)], [])
    assert picked(quiet).novelty_db == 0.0


def test_one_window_is_not_enough_for_the_track() -> None:
    heard = Heard([event(15.0, windows=1), event(15.0, windows=2)], [])
    assert len(heard.chances) == 1
    assert heard.outcome(NO_GATE).known == 1


def test_rain_counts_from_a_minute_on_and_a_silent_room_at_once() -> None:
    heard = Heard([], [rain(10.0), rain(10.0, kind="room", seconds=60)])
    assert heard.outcome(NO_GATE).false == {"room": 3600.0, "even": 3600.0}
    shorter = Heard([], [rain(10.0, seconds=61), rain(10.0, kind="room")])
    assert shorter.outcome(Thresholds(novelty_db=11.0)).false == {"room": 0.0, "even": 0.0}
    assert shorter.outcome(Thresholds(novelty_db=11.0)).slept == {"room": 1.0, "even": 1.0}


def test_untrue_is_what_names_another_sound_in_silence() -> None:
    its = [window(true=True), window(sure=0.5), window(level=-80.0, text="")]
    heard = Heard([Chance("room", "Bark", 40.0, its), event(15.0)], [])
    assert heard.outcome(NO_GATE).untrue == 0.5
    assert heard.outcome(Thresholds(min_confidence=0.6)).untrue == 0.0


def test_the_page_and_the_plot_say_what_was_found() -> None:
    stretches = [rain(7.0), rain(0.0, kind="room")]
    heard = Heard(EVENTS, stretches)
    at = Thresholds(-65.0, 7.5, 0.3)
    text = page({"val": (heard, stretches), "test": (heard, stretches)}, picked(heard), at)
    assert "| test: no gate | 0.0% of 100 (0% to 4%) |" in text
    assert "In the settings: `quiet_db` -65, `novelty_db` 7.5, `min_confidence` 0.3" in text
    assert "| 6 to 12 dB over the background | 0.0% of 100" in text
    svg = plot(heard, at)
    for name in (*lines(heard), "before there was a gate", "the settings"):
        assert name in svg
    assert heard.outcome(BEFORE).missed == 0


def test_backgrounds_go_on_evenly_at_their_level() -> None:
    rng = np.random.default_rng(0)
    recording = shaped_noise(rng, 3 * RATE, 1.0)
    made = list(grounds([("Rain", recording), ("Wind", recording[:RATE])], 1, rng))
    assert [one.kind for one in made] == [
        *("silent", "room", "white", "pink", "brown", "fan", "drift", "even")
    ]  # a second of wind is too short to be played again and again
    for one in made:
        assert len(one.audio) == GROUND_S * RATE
        assert np.isfinite(one.audio).all()
    assert not made[0].audio.any()
    assert level_db(made[1].audio) < -65.0
    for one in made[2:]:
        assert -56.0 < level_db(one.audio) < -24.0
    rain_again = made[-1].audio[: 115 * RATE].reshape(115, -1).std(axis=1)
    assert rain_again.max() < 2.0 * rain_again.min()


def test_a_corpus_without_held_back_clips_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clips.csv").write_text("path,label,kind,source,licence,split\n")
    assert main(["gate", "--corpus", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "holds back no clips" in capsys.readouterr().err
