"""What the live page is made of, each by itself."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import datetime, timezone

import numpy as np
import pytest

from edge.streaming.event_tracker import Event
from edge.streaming.results import WindowResult
from edge.web import history as feeds
from edge.web import sse as lives
from edge.web.export import as_json, subtitles, text
from edge.web.history import Feed
from edge.web.spectrogram import BANDS, COLUMN_S, KEPT_S, Spectrogram
from edge.web.sse import Live

RATE = 16_000


def heard(
    number: int, words: str = "a dog barks", is_open: bool = True, who: str = "a"
) -> WindowResult:
    event = Event(number, float(number), number + 2.0, words, 0.5, is_open)
    return WindowResult(who, None, (event,), datetime(2026, 1, 1, tzinfo=timezone.utc))


def test_who_was_slow_gets_the_newest_of_each_event_once() -> None:
    feed = Feed()
    for one in (heard(1), heard(2, "rain falls"), heard(1, "dogs bark"), heard(1, is_open=False)):
        feed.push(one)
    assert [(r.key, r.event.open) for r in feed.since(0)] == [(2, True), (1, False)]
    assert [r.key for r in feed.since(2)] == [1]
    assert feed.since(feed.changes) == []
    feed.push(heard(1, "birds sing"))  # the number again, by another track of the device
    assert [r.key for r in feed.history()] == [1, 2, 3]
    assert feed.events == {"a": 3}


def test_who_comes_late_has_events_in_the_order_of_who_was_there() -> None:
    feed = Feed()
    for one in (heard(1), heard(2), heard(2, is_open=False), heard(1, is_open=False)):
        feed.push(one)
    told, change = Live(feed, Spectrogram(lambda: RATE), None)._events(0)  # type: ignore[arg-type]
    assert change == feed.changes == 4
    assert f"id: {feed.mark(4)}\n" in told
    assert [one["key"] for one in json.loads(told.partition("data: ")[2])] == [1, 2]


def test_a_mark_of_another_run_or_of_nobody_is_before_all() -> None:
    feed = Feed()
    feed.push(heard(1))
    feed.push(heard(2))
    assert feed.after(feed.mark(1)) == 1
    assert feed.after(f"{feed.run}-999999999999") == 2
    for mark in ("", "0", "other-1", f"{feed.run}--1", f"{feed.run}-", f"{feed.run}-{'9' * 5000}"):
        assert feed.after(mark) == 0


def test_the_history_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "KEPT", 10)
    feed = Feed()
    for number in range(1, 31):
        feed.push(heard(number))
        feed.push(heard(number, is_open=False))
    assert [r.key for r in feed.history()] == list(range(21, 31))


def test_what_is_exported_is_as_it_is_written_elsewhere() -> None:
    feed = Feed()
    feed.push(heard(1, "<b>rain</b> falls", is_open=False))
    feed.push(heard(1, who="b"))
    records = feed.history()
    lines = text(records, labelled=True).splitlines()
    assert lines[0].endswith("a: <b>rain</b> falls  [50%]")
    assert subtitles(records, labelled=True) == (
        "1\n00:00:01,000 --> 00:00:03,000\na: <b>rain</b> falls\n\n"
        "2\n00:00:01,000 --> 00:00:03,000\nb: a dog barks\n\n"
    )
    assert [one["device"] for one in json.loads(as_json(records, True))] == ["a", "b"]


def test_a_picture_that_fails_does_not_end_the_page(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("edge"), "propagate", True)
    monkeypatch.setattr(lives, "TICK_S", 0.0)
    asked = []

    class Board:
        viewers = 0

        def status(self) -> dict[str, str]:
            asked.append(1)
            if len(asked) < 4:
                raise ZeroDivisionError("a bug")
            return {"state": "quiet"}

    live = Live(Feed(), Spectrogram(lambda: RATE), Board())  # type: ignore[arg-type]

    async def watch() -> str:
        ticks = asyncio.create_task(live.run())
        async for message in live.page(""):
            if "event: status" in message:
                live.closing = True
                await ticks
                return message
        return ""

    assert '"state":"quiet"' in asyncio.run(watch())
    assert [r.getMessage() for r in caplog.records] == [
        "page: no picture (ZeroDivisionError('a bug')); the page goes on"
    ]


def tone(start_s: float, seconds: float) -> np.ndarray:
    """1 kHz at full scale."""
    times = start_s + np.arange(round(seconds * RATE)) / RATE
    return np.sin(2000.0 * np.pi * times).astype(np.float32)


def test_a_tone_is_at_its_second_and_its_height() -> None:
    picture = Spectrogram(lambda: RATE)
    samples = np.zeros(10 * RATE, np.float32)
    samples[4 * RATE : 6 * RATE] = tone(4.0, 2.0)
    for block in range(0, len(samples), 1234):
        picture.hear("a", block / RATE, samples[block : block + 1234])
    (columns,) = picture.paint()
    values = np.frombuffer(columns.values, np.uint8).reshape(-1, BANDS)
    assert columns.end_s == pytest.approx(10.0, abs=0.2)
    times = columns.start_s + COLUMN_S * np.arange(len(values))
    loud = times[values.max(axis=1) > 230]
    assert loud[0] == pytest.approx(4.0, abs=0.1)
    assert loud[-1] + COLUMN_S == pytest.approx(6.0, abs=0.1)
    mel = 2595.0 * np.log10(1.0 + np.array([50.0, 1000.0, columns.f_max]) / 700.0)
    share = (mel[1] - mel[0]) / (mel[2] - mel[0])
    assert values.max(axis=0).argmax() == pytest.approx(share * BANDS, abs=1.5)
    assert values.max() == 255
    assert values.min() == 0


def test_a_gap_begins_anew_and_an_hour_unseen_keeps_a_minute() -> None:
    picture = Spectrogram(lambda: RATE)
    picture.hear("a", 0.0, tone(0.0, 1.0))
    picture.hear("a", 30.0, tone(30.0, 1.0))
    first, second = picture.paint()[0], picture.paint()[0]
    assert first.start_s == pytest.approx(0.0, abs=0.05)
    assert second.start_s == pytest.approx(30.0, abs=0.05)
    block = tone(0.0, 1.0)
    for second_s in range(31, 3600):
        picture.hear("a", float(second_s), block)
    found = []
    while new := picture.paint():
        found += new
    assert 3600.0 - KEPT_S - 1.0 <= found[0].start_s <= 3600.0 - KEPT_S + 1.0
    assert picture.minute() == found
