"""The gate: what has long gone on is background, what begins or stands out is heard at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.evaluation.memory_source import Recorded
from distill.scenes.noise import shaped_noise
from edge.audio.clip import read_clip
from edge.audio.ring_buffer import Block
from edge.config import StreamConfig
from edge.errors import ConfigError
from edge.inference.bundle import Bundle, default_bundle, load_bundle
from edge.inference.captioner import Captioner, Description, load_captioner
from edge.inference.features import Floats, LogMel
from edge.streaming.activity_gate import ActivityGate, GateSpec
from edge.streaming.pipeline import Caption, StreamingCaptioner
from tests.helpers import SAMPLE

RATE = 16_000
KNOWN_S = 55.0  # nine tenths of the horizon, and a window
BUNDLE = load_bundle(default_bundle())
FRAMES_S = BUNDLE.features.sample_rate / BUNDLE.features.hop  # frames a second
# A silent room through a microphone, above the level that is quiet: the gate alone decides.
ROOM_DB = -60.0


class Says(Captioner):
    """A model that is sure of all that it is asked about."""

    def __init__(self, bundle: Bundle = BUNDLE) -> None:
        super().__init__(bundle, None)  # type: ignore[arg-type]
        self.asked = 0

    def describe(self, features: Floats) -> Description:
        assert len(features)
        self.asked += 1
        return Description("something sounds", 0.9, quiet=False)


def noise(seconds: float, db: float, exponent: float = 0.0, seed: int = 0) -> Floats:
    """Noise of an RMS of `db` re full scale; 0 is white, 1 pink, 2 brown."""
    sound = shaped_noise(np.random.default_rng(seed), round(seconds * RATE), exponent)
    return (sound * 10.0 ** (db / 20.0)).astype(np.float32)


def fan(seconds: float, db: float) -> Floats:
    t = np.arange(round(seconds * RATE)) / RATE
    hum = np.sum([np.sin(2 * np.pi * 97.0 * k * t) / k for k in range(1, 9)], axis=0)
    return (10.0 ** (db / 20.0) * (hum / hum.std())).astype(np.float32) + noise(seconds, db - 15)


def beeps(seconds: float, db: float) -> Floats:
    """An alarm: a quarter of a second of 2 kHz, a quarter of a second of nothing."""
    t = np.arange(round(seconds * RATE)) / RATE
    tone = np.sqrt(2.0) * np.sin(2 * np.pi * 2000.0 * t) * (t % 0.5 < 0.25)
    return (10.0 ** (db / 20.0) * tone).astype(np.float32) + noise(seconds, ROOM_DB)


def heard(audio: Floats, captioner: Captioner | None = None, **config: float) -> list[Caption]:
    loop = StreamingCaptioner(Recorded(audio, RATE), captioner or Says(), StreamConfig(**config))  # type: ignore[arg-type]
    return list(loop.captions())


def states(captions: list[Caption], from_s: float, to_s: float) -> set[str]:
    """Of the windows that end from `from_s` on, before `to_s`."""
    return {c.state for c in captions if from_s <= c.end_s < to_s}


STEADY: list[Callable[[float], Floats]] = [
    lambda seconds: noise(seconds, -12.0),
    lambda seconds: noise(seconds, -58.0),
    lambda seconds: noise(seconds, -40.0, 1.0),
    lambda seconds: noise(seconds, -30.0, 2.0),
    lambda seconds: fan(seconds, -35.0),
]


@pytest.mark.parametrize("steady", STEADY)
def test_what_goes_on_is_captioned_first_and_then_costs_no_inference(
    steady: Callable[[float], Floats],
) -> None:
    says = Says()
    captions = heard(steady(80.0), says)
    assert states(captions, 0.0, 45.0) == {"caption"}
    assert states(captions, KNOWN_S, 81.0) == {"quiet"}
    assert {c.text for c in captions if c.state == "quiet"} == {""}
    assert says.asked == sum(c.state == "caption" for c in captions) < KNOWN_S


@pytest.mark.parametrize("steady", STEADY)
def test_an_event_over_it_is_heard_at_once(steady: Callable[[float], Floats]) -> None:
    audio = steady(80.0)
    over = 10.0 * np.log10(np.mean(audio**2)) + 18.0
    audio[70 * RATE + 800 :][: RATE // 4] += noise(0.25, over, seed=1)
    captions = heard(audio)
    assert states(captions, KNOWN_S, 70.5) == {"quiet"}
    assert states(captions, 70.5, 75.0) == {"caption"}
    assert states(captions, 75.9, 81.0) == {"quiet"}


def test_a_steady_sound_that_begins_is_captioned_until_it_has_long_gone_on() -> None:
    audio = noise(140.0, ROOM_DB)
    audio[70 * RATE + 800 :] += noise(70.0, -40.0, 1.0, seed=1)[:-800]
    captions = heard(audio)
    assert states(captions, KNOWN_S, 70.5) == {"quiet"}
    assert states(captions, 70.5, 70.0 + 45.0) == {"caption"}
    assert states(captions, 70.0 + KNOWN_S, 141.0) == {"quiet"}


def test_an_alarm_with_pauses_never_becomes_background() -> None:
    assert states(heard(beeps(150.0, -40.0)), 0.0, 151.0) == {"caption"}


def test_a_step_of_the_gain_is_forgotten() -> None:
    """Upwards it is a sound like any other; downwards, nothing begins."""
    audio = noise(220.0, -50.0, 1.0)
    audio[70 * RATE : 150 * RATE] *= np.float32(10.0 ** (20.0 / 20.0))
    captions = heard(audio)
    assert states(captions, 70.5, 110.0) == {"caption"}
    assert states(captions, 70.0 + KNOWN_S, 221.0) == {"quiet"}


def test_a_dip_of_the_gain_makes_no_sound_of_the_background() -> None:
    """As when a microphone turns itself down after a bang."""
    audio = noise(100.0, -40.0, 1.0)
    audio[70 * RATE : 75 * RATE] *= np.float32(10.0 ** (-20.0 / 20.0))
    assert states(heard(audio), KNOWN_S, 101.0) == {"quiet"}


def test_without_the_threshold_all_is_heard() -> None:
    assert states(heard(noise(80.0, -30.0), novelty_db=0.0), 0.0, 81.0) == {"caption"}


def test_digital_silence_is_nothing_and_what_follows_is_heard() -> None:
    gate = ActivityGate(BUNDLE.features)
    frames = LogMel(BUNDLE.features)(
        np.concatenate([np.zeros(70 * RATE, np.float32), noise(2.0, -90.0)])
    )
    gate.push(frames)
    assert gate.novelty_db(6000, 6500) == 0.0
    assert 10.0 < gate.novelty_db(6600, 7100) < 200.0
    audio = np.concatenate([np.zeros(70 * RATE, np.float32), noise(3.0, -40.0)])
    captions = heard(audio)
    assert states(captions, 0.0, 70.0) == {"quiet"}
    assert states(captions, 70.5, 74.0) == {"caption"}


class WithGap:
    """`before`, then `after` once so many seconds were lost."""

    name, rate, lossless = "given", RATE, True

    def __init__(self, before: Floats, lost_s: float, after: Floats) -> None:
        self._before, self._lost, self._after = before, round(lost_s * RATE), after

    def blocks(self):  # type: ignore[no-untyped-def]
        yield Block(self._before[:, None])
        yield Block(self._after[:, None], lost=self._lost)

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("lost_s", "state"), [(0.3, "quiet"), (4.0, "quiet"), (40.0, "caption")])
def test_a_gap_is_silence(lost_s: float, state: str) -> None:
    """A short one does not make a fan new; after a long one, nobody knows what is."""
    audio = noise(85.0, -35.0, 1.0)
    source = WithGap(audio[: 70 * RATE], lost_s, audio[70 * RATE :])
    captions = list(StreamingCaptioner(source, Says(), StreamConfig()).captions())
    after = [c for c in captions if c.start_s >= 70.0 + lost_s - 0.1]
    assert len(after) == 11
    assert {c.state for c in after} == {state}


def test_a_gap_takes_the_oldest_with_it() -> None:
    """What was long ago is forgotten for it, not what was just there."""
    audio = noise(122.0, -40.0, 1.0)
    audio[: 57 * RATE] *= np.float32(10.0 ** (-20.0 / 20.0))
    source = WithGap(audio[: 107 * RATE], 4.0, audio[107 * RATE :])
    captions = list(StreamingCaptioner(source, Says(), StreamConfig()).captions())
    assert states(captions, 111.0, 127.0) == {"quiet"}


QUICK = GateSpec(horizon_s=3.0, every_s=0.5)  # so that a few seconds reach its every part
PIECES = st.lists(st.integers(0, 150), min_size=1, max_size=30)


@settings(max_examples=50, deadline=None)
@given(PIECES, st.integers(0, 5))
def test_how_frames_are_portioned_changes_nothing(pieces: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = rng.standard_normal((sum(pieces), BUNDLE.features.n_mels)).astype(np.float32)
    whole, parts = ActivityGate(BUNDLE.features, QUICK), ActivityGate(BUNDLE.features, QUICK)
    whole.push(frames)
    at = 0
    for piece in pieces:
        parts.push(frames[at : at + piece])
        parts.forget(at - 300)
        at += piece
    for end in range(0, len(frames) + 1, 7):
        start = max(0, end - 200)
        if start >= at - 300:
            assert parts.novelty_db(start, end) == whole.novelty_db(start, end)


def test_the_loop_says_the_same_of_any_blocks() -> None:
    audio = noise(70.0, -40.0, 1.0)
    audio[62 * RATE :][:RATE] += noise(1.0, -20.0, seed=1)
    whole = WithGap(audio[:0], 0.0, audio)
    assert heard(audio) == list(StreamingCaptioner(whole, Says(), StreamConfig()).captions())


def test_frames_that_depend_on_their_window_are_not_the_gates() -> None:
    features = replace(BUNDLE.features, centred=True, top_db=60.0)
    says = Says(replace(BUNDLE, features=features))
    audio = noise(80.0, -40.0)
    audio[70 * RATE + 800 :][: RATE // 4] += noise(0.25, -20.0, seed=1)
    captions = heard(audio, says)
    assert states(captions, 0.0, 45.0) == {"caption"}
    assert states(captions, KNOWN_S, 70.5) == {"quiet"}
    assert states(captions, 70.5, 75.0) == {"caption"}
    assert states(captions, 75.9, 81.0) == {"quiet"}


def test_every_window_of_the_sample_passes() -> None:
    captioner, audio = load_captioner(), read_clip(SAMPLE, RATE)
    assert heard(audio, captioner) == heard(audio, captioner, novelty_db=0.0)


def test_a_threshold_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="novelty_db: -1 is not between 0 and 100"):
        StreamConfig(novelty_db=-1.0)
