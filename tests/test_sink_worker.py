"""The worker of a sink: what the sink does wrong, what a full queue gives up, and how it closes."""

from __future__ import annotations

import logging
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edge.sinks.worker
from edge.config import StreamConfig
from edge.errors import OutputError
from edge.sinks.backlog import Backlog
from edge.sinks.worker import SinkWorker, close_all
from edge.streaming.active_events import ActiveEvents
from edge.streaming.event_tracker import Event
from edge.streaming.pipeline import Caption
from edge.streaming.results import WindowResult
from tests.running import WAIT_S, until


def window(number: int, *events: Event, device: str = "mic") -> WindowResult:
    caption = Caption(float(number), number + 1.0, "caption", "a dog barks", 0.5, -20.0)
    return WindowResult(device, caption, events)


def event(number: int, is_open: bool, text: str = "a dog barks") -> Event:
    return Event(number, 0.0, 1.0, text, 0.8, is_open)


class Recorder:
    """A sink that keeps what it is given, and raises `error` in the calls named in `fails`."""

    name = "recorder"

    def __init__(self, *fails: str, error: BaseException | None = None) -> None:
        self.fails, self.error = set(fails), error or ValueError("embedded null byte")
        self.got: list[float] = []
        self.closed_by: list[str] = []

    def _call(self, name: str) -> None:
        if name in self.fails:
            raise self.error

    def of(self, heard: WindowResult) -> float | None:
        self._call("of")
        return heard.caption.start_s if heard.caption else None

    def end(self) -> float | None:
        self._call("end")
        return -1.0

    def put(self, piece: float) -> None:
        self._call("put")
        if f"put {piece:.0f}" in self.fails:
            raise self.error
        self.got.append(piece)

    def hear(self, *_: object) -> None:
        self._call("hear")

    def configure(self, _: StreamConfig) -> float | None:
        self._call("configure")
        return -2.0

    def reopen(self) -> None:
        self._call("reopen")

    def close(self) -> None:
        self.closed_by.append(threading.current_thread().name)
        self._call("close")


@pytest.fixture
def logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger("edge"), "propagate", True)
    return caplog


CALLS = ("of", "put", "end", "configure", "hear", "close")


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("error", [ValueError("NUL"), UnicodeError("ü"), KeyError(1), OSError(5)])
def test_a_sink_that_raises_anything_is_one_line_and_the_run_goes_on(
    logged: pytest.LogCaptureFixture, call: str, waits: bool, error: Exception
) -> None:
    sink = Recorder(call, error=error)
    outlet = SinkWorker(sink, sources_wait=waits)
    outlet.configure(StreamConfig(), waits)
    for number in range(100):
        outlet.wait()
        outlet.hear("mic", 0.0, np.zeros(3, np.float32))
        outlet.push(window(number))
    if call in ("put", "end") or (call in ("of", "configure") and waits):
        with pytest.raises(OutputError, match=r"recorder: \d+ captions could not be written"):
            outlet.close(WAIT_S)
    else:
        outlet.close(WAIT_S)
    outlet.close(WAIT_S)  # Once more changes nothing.
    assert sink.closed_by == ["recorder"]
    if call in ("hear", "close", "end", "configure"):
        assert [got for got in sink.got if got >= 0] == list(map(float, range(100)))
    errors = [record for record in logged.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert errors[0].getMessage() == f"recorder: failed ({error!r}); the run goes on"
    assert errors[0].exc_info in (None, False)


@pytest.mark.parametrize("error", [OutputError("a disk is full"), BrokenPipeError(32)])
def test_only_put_may_say_that_the_sink_cannot_be_written(
    logged: pytest.LogCaptureFixture, error: Exception
) -> None:
    sink = Recorder("of", error=error)
    outlet = SinkWorker(sink, sources_wait=False)
    outlet.push(window(1))
    until(lambda: "a disk is full" in logged.text or "BrokenPipe" in logged.text, "a line")
    sink.fails.clear()
    outlet.push(window(2))
    outlet.close(WAIT_S)
    assert sink.got == [2.0, -1.0]


def test_what_one_caption_breaks_is_left_out_alone(logged: pytest.LogCaptureFixture) -> None:
    sink = Recorder("put 3")
    outlet = SinkWorker(sink, sources_wait=True)
    for number in range(6):
        outlet.push(window(number))
    with pytest.raises(OutputError, match="recorder: 1 captions could not be written"):
        outlet.close(None)
    assert sink.got == [0.0, 1.0, 2.0, 4.0, 5.0, -1.0]
    assert "recorder: works again; 1 captions are lost" in logged.text


def test_an_error_of_reopening_is_one_line_and_the_sink_goes_on() -> None:
    sink = Recorder("reopen")
    outlet = SinkWorker(sink, sources_wait=False)
    with pytest.raises(OutputError, match=r"recorder: cannot be opened again \(embedded null"):
        outlet.reopen()
    outlet.push(window(1))
    outlet.close(WAIT_S)
    assert sink.got == [1.0, -1.0]
    outlet.reopen()  # Of a sink that is closed, nothing is to be opened again.


class Busy(Recorder):
    """A sink whose `put` waits until somebody cancels it, as a command or a broker does."""

    def __init__(self) -> None:
        super().__init__()
        self.putting, self.cancelled = threading.Event(), threading.Event()

    def put(self, _: float) -> None:
        self.putting.set()
        if not self.cancelled.wait(WAIT_S):
            raise AssertionError("nobody cancelled")
        raise OutputError("busy: does not answer")

    def cancel(self) -> None:
        self.cancelled.set()


def test_closing_reaches_sinks_that_are_busy_in_their_own_threads() -> None:
    sinks = [Busy(), Busy(), Recorder()]
    outlets = [SinkWorker(sink, sources_wait=False) for sink in sinks]
    for outlet in outlets:
        outlet.push(window(1))
    for sink in sinks[:2]:
        assert sink.putting.wait(WAIT_S)  # type: ignore[attr-defined]
    with pytest.raises(OutputError, match="busy"):
        close_all(outlets, 0.05)
    until(lambda: all(sink.closed_by == ["recorder"] for sink in sinks), "all closed")
    until(lambda: all(outlet.join(0.0) for outlet in outlets), "no thread left")
    assert sinks[2].got == [1.0, -1.0]


# --- what a full queue gives up


def test_the_end_of_an_event_outlives_any_number_of_windows() -> None:
    backlog = Backlog(100)
    backlog.push(window(0, event(1, True)))
    backlog.pop()  # The sink has seen it begin, and now the outage begins.
    backlog.push(window(1, event(1, False)))
    dropped = sum(backlog.push(window(number)) for number in range(2, 2_000))
    assert dropped == 1_999 - 100
    ongoing = ActiveEvents()
    ongoing.push(window(0, event(1, True)))
    heard = [backlog.pop() for _ in range(len(backlog))]
    assert heard[0] == window(1, event(1, False))
    assert heard[1:] == [window(number) for number in range(1_901, 2_000)]


def test_events_that_the_sink_never_saw_are_given_up_whole() -> None:
    backlog = Backlog(10)
    for number in range(1, 1000):
        backlog.push(window(number, event(number, True)))
        backlog.push(window(number, event(number, False)))
    assert len(backlog) <= 11
    heard = [backlog.pop() for _ in range(len(backlog))]
    assert heard[-1] == window(999, event(999, False))


@settings(max_examples=60)
@given(st.data())
def test_a_sink_that_worked_off_its_queue_knows_what_goes_on(data: st.DataObject) -> None:
    """Whatever happens, and however small the queue is."""
    backlog = Backlog(data.draw(st.integers(1, 6)))
    truth, seen = ActiveEvents(), ActiveEvents()
    going: dict[str, set[int]] = {"a": set(), "b": set()}
    last: dict[str, Caption] = {}
    number = 0
    for step in range(data.draw(st.integers(0, 30))):
        device = data.draw(st.sampled_from("ab"))
        events = []
        for one in sorted(going[device]):
            what = data.draw(st.sampled_from(["same", "same", "reword", "close"]))
            if what != "same":
                events.append(event(one, what == "reword", f"words {step}"))
            if what == "close":
                going[device].discard(one)
        if data.draw(st.booleans()) and len(going[device]) < 2:
            number += 1
            going[device].add(number)
            events.append(event(number, True, f"words {step}"))
        heard = window(step, *events, device=device)
        assert heard.caption is not None
        last[device] = heard.caption
        truth.push(heard)
        backlog.push(heard)
        assert len(backlog) <= backlog._limit + 8
        if data.draw(st.integers(0, 4)) == 0 and len(backlog):
            seen.push(backlog.pop())
    newest: dict[str, Caption] = {}
    while len(backlog):
        heard = backlog.pop()
        seen.push(heard)
        if heard.caption is not None:
            newest[heard.device] = heard.caption
    for device in "ab":
        numbers = [{one.number: one for one in ongoing.of(device)} for ongoing in (seen, truth)]
        assert numbers[0] == numbers[1]
    for device, caption in newest.items():
        assert caption == last[device]


def test_a_sink_that_was_away_for_long_is_told_the_end(
    monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(edge.sinks.worker, "KEPT", 20)
    monkeypatch.setattr(edge.sinks.worker, "FIRST_WAIT_S", 0.01)

    class Follows(Recorder):
        """Says what goes on, as the caption topic of Home Assistant does."""

        def __init__(self) -> None:
            super().__init__()
            self.away, self.said, self._ongoing = threading.Event(), [""], ActiveEvents()

        def of(self, heard: WindowResult) -> str | None:  # type: ignore[override]
            self._ongoing.push(heard)
            return ", ".join(e.text for e in self._ongoing.of("mic")) or "quiet"

        def end(self) -> None:  # type: ignore[override]
            return None

        def put(self, piece: str) -> None:  # type: ignore[override]
            if self.away.is_set():
                raise OutputError("broker: is away")
            self.said.append(piece)

    sink = Follows()
    outlet = SinkWorker(sink, sources_wait=False)
    outlet.push(window(0, event(1, True)))
    until(lambda: sink.said[-1] == "a dog barks", "the beginning")
    sink.away.set()
    outlet.push(window(1, event(1, False)))
    for number in range(2, 1000):
        outlet.push(window(number))
    sink.away.clear()
    until(lambda: sink.said[-1] == "quiet", "the end")
    assert "has long taken nothing" in logged.text
    until(lambda: "captions are lost" in logged.text, "how many")
    outlet.close(WAIT_S)
