"""However audio is cut into blocks: no sample is lost, doubled or moved on the way to the model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.audio.resampler import Resampler
from edge.audio.ring_buffer import Block
from edge.config import StreamConfig
from edge.inference.bundle import Bundle, default_bundle, load_bundle
from edge.inference.captioner import Captioner, Description
from edge.inference.feature_buffer import feature_buffer
from edge.inference.features import FeatureSpec, Floats, LogMel, level_db
from edge.streaming.pipeline import Caption, StreamingCaptioner

RATES = [8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000]
MODEL_RATE = 16_000
BUNDLE = load_bundle(default_bundle())
# Blocks of one sample, of some milliseconds as devices give them, and of any size; as shares.
SHARES = st.lists(st.just(0.0) | st.floats(0.0, 0.02) | st.floats(0.0, 1.0), max_size=12)

SHARED = BUNDLE.features
OWN = replace(SHARED, window=1024, hop=320, centred=True, top_db=80.0)  # as other students have
SPECS = [SHARED, OWN, replace(SHARED, top_db=80.0)]


def cut(samples: Floats, shares: list[float]) -> list[Floats]:
    """`samples` in blocks of `shares` of a second and at least one sample; what is left is last."""
    out = []
    for share in shares:
        size = 1 + int(share * MODEL_RATE)
        out.append(samples[:size])
        samples = samples[size:]
    return [*out, samples]


def sound(seed: int, frames: int, channels: int = 1) -> Floats:
    """Noise that differs from channel to channel, and whose level changes all the time."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((frames, channels), np.float32)
    return noise * np.geomspace(1e-3, 0.3, frames, dtype=np.float32)[:, None]


@pytest.mark.parametrize("rate", RATES)
@settings(deadline=None, max_examples=20)
@given(
    shares=SHARES,
    seed=st.integers(0, 99),
    frames=st.integers(0, 30_000),
    channels=st.sampled_from([1, 2, 6]),
)
def test_resampled_blocks_are_the_whole_resampled(
    rate: int, shares: list[float], seed: int, frames: int, channels: int
) -> None:
    samples = sound(seed, frames, channels)
    whole = Resampler(rate, MODEL_RATE).push(samples, last=True)
    resampler = Resampler(rate, MODEL_RATE)
    pieces = [resampler.push(block) for block in cut(samples, shares)]
    pieces.append(resampler.push(np.zeros((0, 1), np.float32), last=True))
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert abs(len(whole) - frames * MODEL_RATE / rate) <= 1.0
    mono = samples.mean(axis=1, keepdims=True)
    np.testing.assert_array_equal(Resampler(rate, MODEL_RATE).push(mono, last=True), whole)


@pytest.mark.parametrize("rate", RATES)
def test_what_comes_out_is_what_went_in_and_no_later(rate: int) -> None:
    """A tone and its place in time survive, so no sample is doubled or left out in the middle."""
    frames = 2 * rate
    tone = np.sin(2 * np.pi * 440.0 * np.arange(frames) / rate).astype(np.float32)
    resampler = Resampler(rate, MODEL_RATE)
    out = np.concatenate([resampler.push(tone[at : at + 97, None]) for at in range(0, frames, 97)])
    wanted = np.sin(2 * np.pi * 440.0 * np.arange(len(out)) / MODEL_RATE)
    middle = slice(MODEL_RATE // 10, MODEL_RATE * 3 // 2)
    np.testing.assert_allclose(out[middle], wanted[middle], atol=1e-3)


def plain(samples: Floats, start: int, end: int, spec: FeatureSpec) -> Floats:
    """Features of mono `samples` from hop `start` to `end`, without a stream."""
    alone = spec.centred or spec.top_db is not None
    last = end * spec.hop if alone else (end - 1) * spec.hop + spec.window
    return LogMel(spec)(samples[start * spec.hop : last])


@pytest.mark.parametrize("spec", SPECS)
@settings(deadline=None, max_examples=40)
@given(
    shares=SHARES,
    seed=st.integers(0, 99),
    frames=st.integers(0, 40_000),
    spans=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 60)), max_size=4),
)
def test_a_window_has_the_features_of_its_span(
    spec: FeatureSpec,
    shares: list[float],
    seed: int,
    frames: int,
    spans: list[tuple[int, int]],
) -> None:
    samples = sound(seed, frames)[:, 0]
    windows, heard, kept = feature_buffer(spec), 0, 0
    for block in cut(samples, shares):
        windows.push(block)
        assert windows.heard >= heard
        heard = windows.heard
        for start, length in spans:
            # Counted back from the newest, as the loop does; what is forgotten is not asked for.
            end = heard - start
            if (first := max(kept, end - length)) >= end:
                continue
            features, levels = windows.window(first, end)
            wanted = plain(samples, first, end, spec)
            np.testing.assert_allclose(features, wanted, atol=1e-4)
            np.testing.assert_allclose(levels, level_db(wanted, spec), atol=1e-2)
        kept = max(kept, heard - 70)
        windows.forget(kept)
    alone = spec.centred or spec.top_db is not None
    assert heard == (len(samples) // spec.hop if alone else spec.frames(len(samples)))


@pytest.mark.parametrize("spec", SPECS)
@settings(deadline=None, max_examples=30)
@given(shares=SHARES, seed=st.integers(0, 99), frames=st.integers(8_000, 40_000))
def test_no_bit_of_a_window_depends_on_the_blocks(
    spec: FeatureSpec, shares: list[float], seed: int, frames: int
) -> None:
    """Thresholds hang on them, and BLAS adds up in an order that depends on the number of rows."""
    samples = sound(seed, frames)[:, 0]
    whole, parts = feature_buffer(spec), feature_buffer(spec)
    whole.push(samples)
    for block in cut(samples, shares):
        parts.push(block)
    assert parts.heard == whole.heard
    span = max(0, whole.heard - 50), whole.heard
    for one, other in zip(parts.window(*span), whole.window(*span), strict=True):
        np.testing.assert_array_equal(one, other)


@dataclass(frozen=True)
class Stretch:
    """Audio without a gap, as one device gives it."""

    rate: int
    channels: int
    lost: int  # frames, at this rate, before it
    frames: int
    shares: list[float]  # of its blocks
    seed: int

    def samples(self) -> Floats:
        return sound(self.seed, self.frames, self.channels)


STRETCHES = st.lists(
    st.builds(
        Stretch,
        rate=st.sampled_from([8000, 16_000, 16_000, 44_100, 48_000]),
        channels=st.integers(1, 2),
        lost=st.integers(1, 100_000),
        frames=st.integers(0, 60_000),
        shares=SHARES,
        seed=st.integers(0, 99),
    ),
    min_size=1,
    max_size=3,
)


class Stretches:
    """One stretch after the other, at its own rate, as a patient source gives them."""

    name = "stretches"

    def __init__(self, stretches: list[Stretch], lossless: bool) -> None:
        self._stretches, self.lossless = stretches, lossless
        self.rate = stretches[0].rate

    def blocks(self) -> Iterator[Block]:
        for stretch in self._stretches:
            self.rate = stretch.rate
            lost = stretch.lost
            for samples in cut(stretch.samples(), stretch.shares):
                yield Block(samples, lost)
                lost = 0

    def close(self) -> None:
        pass


class Recorder(Captioner):
    """Keeps the features that it is to describe."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle, None)  # type: ignore[arg-type]
        self.heard: list[Floats] = []

    def describe(self, features: Floats) -> Description:
        self.heard.append(features.copy())
        return Description("", 1.0, quiet=True)


def expected(
    stretch: Stretch, spec: FeatureSpec, window: int, hop: int
) -> list[tuple[float, float, Floats]]:
    """Start and end in seconds, and features, of the windows (in hops) of one stretch."""
    mono = Resampler(stretch.rate, MODEL_RATE).push(stretch.samples(), last=True)
    own = spec.centred or spec.top_db is not None
    heard = len(mono) // spec.hop if own else spec.frames(len(mono))
    ends = list(range(window, heard + 1, hop))
    rest = heard - (ends[-1] if ends else 0)
    if rest > (hop // 2 if ends else 0):
        ends.append(heard)
    step = spec.hop / spec.sample_rate
    spans = [(max(0, end - window), end) for end in ends]
    return [(first * step, end * step, plain(mono, first, end, spec)) for first, end in spans]


@pytest.mark.parametrize("spec", SPECS[:2])
@settings(deadline=None, max_examples=300)
@given(
    stretches=STRETCHES,
    lossless=st.booleans(),
    window_s=st.sampled_from([1.0, 1.3, 2.0]),
    hop_s=st.sampled_from([0.1, 0.37, 1.0]),
)
def test_the_loop_hears_each_window_once_in_order_and_none_across_a_gap(
    spec: FeatureSpec, stretches: list[Stretch], lossless: bool, window_s: float, hop_s: float
) -> None:
    recorder = Recorder(replace(BUNDLE, features=spec))
    config = StreamConfig(window_s=window_s, hop_s=hop_s, quiet_db=-200.0)
    loop = StreamingCaptioner(Stretches(stretches, lossless), recorder, config)
    captions: list[Caption] = list(loop.captions())

    frames_a_s = spec.sample_rate / spec.hop
    window, hop = round(window_s * frames_a_s), round(hop_s * frames_a_s)
    wanted, at_s = [], 0.0
    for stretch in stretches:
        at_s += stretch.lost / stretch.rate
        spans = expected(stretch, spec, window, hop)
        wanted += [(at_s + start, at_s + end, features) for start, end, features in spans]
        at_s += stretch.frames / stretch.rate

    stats = loop.stats
    assert stats.audio_s == pytest.approx(at_s)
    assert stats.lost_s == pytest.approx(sum(s.lost / s.rate for s in stretches))
    assert len(captions) == len(recorder.heard) == stats.windows
    assert stats.windows + stats.skipped_windows == len(wanted)
    if lossless:
        assert stats.skipped_windows == 0
    left = iter(wanted)
    for caption, features in zip(captions, recorder.heard, strict=True):
        # Those that were skipped have no caption; the order stays.
        start_s, _, alone = next(w for w in left if abs(w[1] - caption.end_s) < 0.002)
        assert caption.start_s == pytest.approx(start_s, abs=0.002)
        np.testing.assert_allclose(features, alone, atol=1e-4)
