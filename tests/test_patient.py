"""Waiting for a source: the clock, the lines, and what ends the wait."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from edge.audio import reconnecting as patient
from edge.audio.reconnecting import ReconnectingSource
from edge.audio.ring_buffer import NOTHING, Block
from edge.config import StreamConfig
from edge.errors import AudioError, DeviceError, UnavailableError
from edge.inference.captioner import load_captioner
from edge.streaming.pipeline import StreamingCaptioner

GONE = UnavailableError("device 'x': gives no audio any more")


class Made:
    """A source that gives some blocks of noise on the clock, then raises or ends."""

    lossless = False

    def __init__(
        self,
        seconds: float,
        end: Exception | None = GONE,
        rate: int = 16_000,
        name: str = "x",
        overflows: int = 0,
        silent_s: float = 0.0,
    ) -> None:
        self.name, self.rate, self.overflows = name, rate, overflows
        self._seconds, self._end, self.closed = seconds, end, False
        self._silent_s = silent_s

    def blocks(self) -> Iterator[Block]:
        rng = np.random.default_rng(0)
        for _ in range(round(self._silent_s / 0.1)):
            time.sleep(0.1)
            yield NOTHING
        for _ in range(round(self._seconds / 0.1)):
            time.sleep(0.1)
            noise = 0.05 * rng.standard_normal((self.rate // 10, 1))
            yield Block(noise.astype(np.float32))
        if self._end is not None:
            raise self._end

    def close(self) -> None:
        self.closed = True


def one_by_one(*results: Made | Exception) -> Callable[[], Made]:
    left = list(results)

    def reopen() -> Made:
        result = left.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    return reopen


class Clock:
    """In place of `time`: it stands still but in a sleep, and that is over at once."""

    def __init__(self) -> None:
        self._now = 100.0

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(patient, "time", clock)
    monkeypatch.setattr(sys.modules[__name__], "time", clock)
    monkeypatch.setattr(patient, "FIRST_WAIT_S", 0.2)
    monkeypatch.setattr(patient, "LONGEST_WAIT_S", 0.8)
    monkeypatch.setattr(patient, "STEP_S", 0.1)
    monkeypatch.setattr(logging.getLogger("edge"), "propagate", True)  # to caplog, in any case


def test_the_clock_goes_on_and_a_gap_is_two_lines(caplog: pytest.LogCaptureFixture) -> None:
    first, last = Made(0.5, overflows=2), Made(0.5, end=None, overflows=1)
    busy = [UnavailableError("busy"), DeviceError("no such name"), AudioError("one channel")]
    source = ReconnectingSource(first, one_by_one(*busy, last))
    began = time.monotonic()
    blocks = list(source.blocks())
    elapsed = time.monotonic() - began
    frames = sum(block.lost + len(block.samples) for block in blocks)
    assert frames / 16_000 == pytest.approx(elapsed, abs=0.01)
    assert sum(len(block.samples) for block in blocks) == 16_000
    assert elapsed == pytest.approx(0.5 + 0.2 + 0.4 + 0.8 + 0.8 + 0.5)  # the back-off
    assert [record.message for record in caplog.records] == [
        "device 'x': gives no audio any more; waiting for it",
        "x: is back after 2 s",
    ]
    assert first.closed
    assert not last.closed
    assert source.overflows == 3
    source.close()
    assert last.closed
    assert source.overflows == 3


def test_the_gap_is_told_while_it_lasts() -> None:
    source = ReconnectingSource(Made(0.0), one_by_one(GONE, GONE, GONE))
    blocks = source.blocks()
    began = time.monotonic()
    lost = [next(blocks).lost for _ in range(3)]
    assert sum(lost) / 16_000 == pytest.approx(time.monotonic() - began, abs=0.01)


def test_what_opens_and_gives_nothing_is_not_back(caplog: pytest.LogCaptureFixture) -> None:
    dead, last = Made(0.0, silent_s=0.5), Made(0.3, None, silent_s=0.8)
    source = ReconnectingSource(Made(0.3), one_by_one(dead, last))
    began = time.monotonic()
    blocks = list(source.blocks())
    assert len(caplog.records) == 2
    assert "x: is back after 2 s" in caplog.text
    frames = sum(block.lost + len(block.samples) for block in blocks)
    assert frames / 16_000 == pytest.approx(time.monotonic() - began, abs=0.01)


def test_the_loop_is_never_left_alone_for_long() -> None:
    source = ReconnectingSource(Made(0.1), one_by_one(GONE, GONE, GONE, Made(0.1, None)))
    last, longest = time.monotonic(), 0.0
    for _ in source.blocks():
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    assert longest < 1.5 * patient.STEP_S


def test_it_may_come_back_as_another_device_at_another_rate() -> None:
    captioner = load_captioner()
    source = ReconnectingSource(Made(2.5), one_by_one(Made(3.0, None, rate=44_100, name="y")))
    loop = StreamingCaptioner(source, captioner, StreamConfig(window_s=2.0, hop_s=1.0))
    began = time.monotonic()
    captions = list(loop.captions())
    assert (source.name, source.rate) == ("y", 44_100)
    assert loop.stats.audio_s == pytest.approx(time.monotonic() - began, abs=0.01)
    assert loop.stats.lost_s == pytest.approx(0.2, abs=0.01)
    before = [c for c in captions if c.end_s <= 2.6]
    after = [c for c in captions if c.start_s >= 2.6]
    assert len(before) + len(after) == len(captions)  # no window reaches across
    # Were it resampled from the old rate, 3 s would be heard as 8.
    assert after[-1].end_s == pytest.approx(loop.stats.audio_s, abs=0.6)


def test_what_comes_and_goes_is_tried_less_and_less(caplog: pytest.LogCaptureFixture) -> None:
    flaps = [Made(0.1) for _ in range(3)]
    source = ReconnectingSource(Made(0.1), one_by_one(*flaps, Made(0.1, None)))
    began = time.monotonic()
    list(source.blocks())
    assert time.monotonic() - began == pytest.approx(0.5 + 0.2 + 0.4 + 0.8 + 0.8)
    assert len(caplog.records) == 8


def test_what_waiting_does_not_mend_ends_it() -> None:
    source = ReconnectingSource(Made(0.1, AudioError("x: holds no audio")), one_by_one())
    with pytest.raises(AudioError, match="holds no audio"):
        list(source.blocks())


def test_a_source_that_ends_ends(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert len(list(ReconnectingSource(Made(0.3, None), one_by_one()).blocks())) == 3
    assert not caplog.records
