"""The loop's clock: which windows it computes, and which it skips; and what it makes of gaps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from edge.audio.ring_buffer import Block
from edge.config import StreamConfig
from edge.errors import AudioError
from edge.inference.captioner import Captioner, Description, load_captioner
from edge.inference.features import Floats
from edge.streaming import pipeline as loop_module
from edge.streaming.pipeline import Caption, StreamingCaptioner


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return load_captioner()


class Given:
    """A source that gives the blocks it is made of."""

    name = "given"

    def __init__(self, blocks: list[Block], rate: int = 16_000, lossless: bool = False) -> None:
        self._blocks, self.rate, self.lossless = blocks, rate, lossless

    def blocks(self) -> Iterator[Block]:
        yield from self._blocks

    def close(self) -> None:
        pass


def noise(seconds: float, rate: int = 16_000, channels: int = 1) -> Floats:
    rng = np.random.default_rng(0)
    return (0.05 * rng.standard_normal((int(seconds * rate), channels))).astype(np.float32)


def run(
    captioner: Captioner, source: Given, window_s: float = 2.0, hop_s: float = 1.0
) -> tuple[list[Caption], StreamingCaptioner]:
    loop = StreamingCaptioner(source, captioner, StreamConfig(window_s=window_s, hop_s=hop_s))
    return list(loop.captions()), loop


def ends(captions: list[Caption]) -> list[float]:
    return [round(c.end_s, 1) for c in captions]


def in_blocks(samples: Floats, size: int) -> list[Block]:
    return [Block(samples[i : i + size]) for i in range(0, len(samples), size)]


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 192_000])
@pytest.mark.parametrize("channels", [1, 8])
def test_windows_come_once_a_hop_at_any_rate(
    captioner: Captioner, rate: int, channels: int
) -> None:
    source = Given(in_blocks(noise(5.2, rate, channels), rate // 10), rate)
    captions, loop = run(captioner, source)
    assert ends(captions)[:3] == [2.0, 3.0, 4.0]
    assert captions[0].start_s == 0.0
    assert captions[1].start_s == pytest.approx(1.0, abs=0.02)
    assert loop.stats.skipped_windows == 0
    assert loop.stats.audio_s == pytest.approx(5.2, abs=0.01)


def test_a_late_loop_skips_to_the_newest_window_and_counts(captioner: Captioner) -> None:
    samples = noise(20.0)
    late = [Block(samples[:40_000]), Block(samples[40_000:241_000]), Block(samples[241_000:])]
    captions, loop = run(captioner, Given(late))
    assert ends(captions)[:3] == [2.0, 15.0, 19.0]
    # Windows end at 2, 3, ... 15 and 16 ... 19 s; of those, three were computed in time.
    assert loop.stats.skipped_windows == 12 + 3
    whole, loop = run(captioner, Given(late, lossless=True))
    assert ends(whole)[:18] == [float(s) for s in range(2, 20)]
    assert loop.stats.skipped_windows == 0


class Slow(Captioner):
    """A model that takes `cost_s` for a window, by a clock that stands still otherwise."""

    def __init__(self, captioner: Captioner, cost_s: float, first_s: float = 0.0) -> None:
        super().__init__(captioner.bundle, None)  # type: ignore[arg-type]
        self.cost_s, self.now_s = cost_s, 0.0
        self._first_s = first_s  # More for the first window.
        self.monotonic = self.time = self.perf_counter = lambda: self.now_s

    def describe(self, features: Floats) -> Description:
        assert len(features)
        self.now_s += self.cost_s + self._first_s
        self._first_s = 0.0
        return Description("x", 0.9, quiet=False)


class Live(Given):
    """A source that gives what has arrived by the clock of `slow`, 0.1 s or more."""

    def __init__(self, slow: Slow, samples: Floats) -> None:
        super().__init__([])
        self._slow, self._samples = slow, samples

    def blocks(self) -> Iterator[Block]:
        done = 0
        while done < len(self._samples):
            if self._slow.now_s * self.rate < done + 1600:
                self._slow.now_s = (done + 1600) / self.rate
            due = int(self._slow.now_s * self.rate)
            yield Block(self._samples[done:due])
            done = due


def test_windows_closer_together_than_blocks_are_all_computed(
    captioner: Captioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file gives a block each quarter of a second, and a microphone one each tenth or more."""
    slow = Slow(captioner, 0.05)
    monkeypatch.setattr(loop_module, "time", slow)
    source = Given(in_blocks(noise(6.0), 4000))
    captions, loop = run(slow, source, window_s=2.0, hop_s=0.1)
    assert loop.stats.skipped_windows == 0
    assert not loop.late
    assert ends(captions) == [round(2.0 + 0.1 * i, 1) for i in range(41)]


def test_a_loop_that_was_held_up_for_less_than_a_window_catches_up(
    captioner: Captioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(captioner, 0.9)
    monkeypatch.setattr(loop_module, "time", slow)
    samples = noise(8.0)
    held_up = [Block(samples[:40_000]), Block(samples[40_000:80_000]), Block(samples[80_000:])]
    captions, loop = run(slow, Given(held_up), window_s=4.0)
    assert loop.stats.skipped_windows == 0
    assert ends(captions)[:4] == [4.0, 5.0, 6.0, 7.0]


@pytest.mark.parametrize(("cost_s", "late"), [(0.1, False), (0.9, False), (1.5, True), (7.0, True)])
def test_a_model_is_late_if_a_window_takes_longer_than_a_hop(
    captioner: Captioner, monkeypatch: pytest.MonkeyPatch, cost_s: float, late: bool
) -> None:
    slow = Slow(captioner, cost_s)
    monkeypatch.setattr(loop_module, "time", slow)
    loop = StreamingCaptioner(Live(slow, noise(60.0)), slow, StreamConfig())
    behind = [slow.now_s - caption.end_s for caption in loop.captions()]
    assert loop.late == late
    assert (loop.stats.skipped_windows > 0) == late
    assert max(behind[:-1]) < 2.0 * cost_s + 1.0  # It never falls further and further behind.


def test_a_first_window_that_takes_long_makes_no_model_late(
    captioner: Captioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(captioner, 0.02, first_s=1.5)
    monkeypatch.setattr(loop_module, "time", slow)
    loop = StreamingCaptioner(Live(slow, noise(20.0)), slow, StreamConfig(hop_s=0.1))
    assert len(list(loop.captions())) == loop.stats.windows >= 150
    assert not loop.late
    assert loop.stats.skipped_windows == 0


def test_what_was_heard_before_a_source_fails_is_captioned(captioner: Captioner) -> None:
    class Broken(Given):
        def blocks(self) -> Iterator[Block]:
            yield from super().blocks()
            raise AudioError("ends after 0.8 s")

    captions = StreamingCaptioner(Broken([Block(noise(0.8))]), captioner, StreamConfig()).captions()
    assert ends([next(captions)]) == [0.8]
    with pytest.raises(AudioError, match=r"ends after 0.8 s"):
        next(captions)


def test_block_size_does_not_change_what_is_said(captioner: Captioner) -> None:
    samples = noise(6.0)
    one, _ = run(captioner, Given(in_blocks(samples, 333)))
    two, _ = run(captioner, Given(in_blocks(samples, 16_000), lossless=True))
    assert one == two


def test_the_end_of_a_source_is_captioned_too(captioner: Captioner) -> None:
    captions, _ = run(captioner, Given([Block(noise(0.3))]))
    assert [(c.start_s, round(c.end_s, 1)) for c in captions] == [(0.0, 0.3)]
    captions, _ = run(captioner, Given(in_blocks(noise(4.7), 1600)))
    assert ends(captions) == [2.0, 3.0, 4.0, 4.7]
    assert captions[-1].start_s == pytest.approx(2.7, abs=0.05)


def test_no_window_reaches_across_a_gap_and_the_clock_goes_on(captioner: Captioner) -> None:
    gap = [Block(noise(2.5)), Block(noise(3.8), lost=16_000 * 10)]
    captions, loop = run(captioner, Given(gap))
    assert loop.stats.lost_s == 10.0
    assert all(c.end_s <= 2.6 or c.start_s >= 12.49 for c in captions)
    assert captions[-1].end_s == pytest.approx(16.3, abs=0.1)


def test_silence_is_quiet_and_costs_no_inference(captioner: Captioner) -> None:
    class Untouched(Captioner):
        def describe(self, features: Floats) -> Description:
            raise AssertionError(f"inference on silence of {len(features)} frames")

    mute = Untouched(captioner.bundle, None)  # type: ignore[arg-type]
    quiet = noise(4.0) * 1e-3
    captions, _ = run(mute, Given(in_blocks(quiet, 1600)))
    assert {c.state for c in captions} == {"quiet"}
    assert {c.text for c in captions} == {""}
    captions, _ = run(mute, Given([Block(np.zeros((64_000, 1), np.float32))], lossless=True))
    assert {c.state for c in captions} == {"quiet"}


def test_an_unsure_model_says_nothing(captioner: Captioner) -> None:
    loop = StreamingCaptioner(
        Given([Block(noise(3.0))]), captioner, StreamConfig(min_confidence=1.0)
    )
    assert {(c.state, c.text) for c in loop.captions()} == {("listening", "")}
