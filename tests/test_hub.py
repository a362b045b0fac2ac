"""Devices are opened, changed and closed while other threads look on; nothing is lost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest

from edge.audio import reconnecting as patient
from edge.audio import source_factory as opening
from edge.audio.ring_buffer import Block
from edge.config import StreamConfig
from edge.errors import AudioError, DeviceError, UnavailableError
from edge.inference.bundle import default_bundle, load_bundle
from edge.inference.captioner import Captioner, Description
from edge.inference.features import Floats
from edge.streaming import device_manager as hub_module
from edge.streaming import pipeline as loop_module
from edge.streaming.device_manager import DeviceManager
from edge.streaming.results import WindowResult
from edge.web.history import Feed
from edge.web.metrics import Board
from tests.running import until

BUNDLE = load_bundle(default_bundle())
BLOCK_S = 0.5
DOWN = UnavailableError("camera: cannot be read as audio (connection refused)")


class Says(Captioner):
    """A model that is sure of all that it is asked about."""

    def __init__(self) -> None:
        super().__init__(BUNDLE, None)  # type: ignore[arg-type]

    def describe(self, features: Floats) -> Description:
        assert len(features)
        return Description("something sounds", 0.9, quiet=False)


class Noise:
    """A device that gives noise, a thousand times as fast as the clock, until `end` is set."""

    lossless, rate = False, 16_000

    def __init__(self, name: str, error: Exception | None = None) -> None:
        self.name, self.closed, self.overflows = name, 0, 1
        self.end, self._error = threading.Event(), error
        self._reading = threading.Lock()  # Fails a test that closes it while it is read.

    def blocks(self) -> Iterator[Block]:
        rng = np.random.default_rng(0)
        while not self.end.is_set():
            with self._reading:
                assert not self.closed
                time.sleep(BLOCK_S / 1000.0)
                noise = 0.05 * rng.standard_normal((round(BLOCK_S * self.rate), 1))
            yield Block(noise.astype(np.float32))
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        assert self._reading.acquire(blocking=False), "closed while it is read"
        self._reading.release()
        self.closed += 1


class Devices:
    """What `open_source` opens: a device, or an error for those that are in `broken`."""

    def __init__(self) -> None:
        self.opened: list[Noise] = []
        self.broken: dict[str, Exception] = {}
        self.wrong_channel: set[str] = set()  # Of which there is no channel 5.

    def open(self, what: str, config: StreamConfig) -> Noise:
        if what in self.broken:
            raise self.broken[what]
        if config.channel == 5 and what in self.wrong_channel:
            raise AudioError(f"{what}: has 1 channel, so there is no channel 5")
        self.opened.append(Noise(what))
        return self.opened[-1]

    def named(self, what: str) -> Noise:
        """The last that was opened of those."""
        return [source for source in self.opened if source.name == what][-1]


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> Devices:
    found = Devices()
    monkeypatch.setattr(hub_module, "open_source", found.open)
    monkeypatch.setattr(opening, "open_source", found.open)
    monkeypatch.setattr(patient, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(patient, "STEP_S", 0.01)
    monkeypatch.setattr(logging.getLogger("edge"), "propagate", True)
    return found


@pytest.fixture
def hubs() -> Iterator[Callable[..., DeviceManager]]:
    made: list[DeviceManager] = []

    def make(**settings: Any) -> DeviceManager:
        made.append(DeviceManager(config(**settings), Says()))
        made[-1].start()
        return made[-1]

    yield make
    for hub in made:
        hub.close()


def config(**settings: Any) -> StreamConfig:
    return StreamConfig(**{"window_s": 1.0, "hop_s": 1.0, "novelty_db": 0.0, **settings})


def take(hub: DeviceManager, enough: Callable[[list[WindowResult]], bool]) -> list[WindowResult]:
    """What `hub` says until it is `enough`."""
    taken: list[WindowResult] = []

    def more() -> bool:
        hub.wait(0.1)
        while (heard := hub.take()) is not None:
            taken.append(heard)
        return enough(taken)

    until(more)
    return taken


def says(hub: DeviceManager, *labels: str) -> None:
    """Wait until each of `labels`, and nothing else, is listened to and gives captions."""
    while hub.take() is not None:
        pass
    take(hub, lambda heard: {h.device for h in heard if h.caption} >= set(labels))
    assert {status.device for status in hub.status()} == set(labels)


# --- counters


def counters(hub: DeviceManager) -> dict[str, float]:
    """All that `hub` counts, by series as `/metrics` has them; none may ever be missing again."""
    lines = [line.rsplit(" ", 1) for line in Board(hub, Feed()).metrics().splitlines()]
    found = {name: float(value) for name, value in lines if "_total" in name and name[0] != "#"}
    totals = {name: float(getattr(hub.stats(), name)) for name in ("windows", "audio_s", "lost_s")}
    status = {f"{status.device} shown": float(status.windows) for status in hub.status()}
    return {**found, **totals, **status, "overflows": float(hub.overflows)}


def test_no_count_falls_while_devices_come_go_end_and_change(
    devices: Devices, hubs: Callable[..., DeviceManager]
) -> None:
    hub = hubs(device=["a=a", "b=b"])
    done = threading.Event()
    falls: list[tuple[str, float]] = []

    def watch() -> None:
        before: dict[str, float] = {}
        while not done.is_set():
            now = counters(hub)
            falls.extend((n, now[n]) for n, value in before.items() if now.get(n, value) < value)
            missing = [name for name in before if "_total" in name and name not in now]
            falls.extend((name, 0.0) for name in missing)
            before |= now

    watchers = [threading.Thread(target=watch) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    try:
        for number in range(20):
            names = [["a=a", "b=b"], ["b=b"], ["a=a", "c=c"]][number % 3]
            hub.change(config(device=names, channel=number % 2 + 1), Says())
            says(hub, *[name[0] for name in names])
            if number % 4 == 3:  # One ends by itself.
                devices.opened[-1].end.set()
                take(hub, lambda _: len(hub.status()) < 2)
    finally:
        done.set()
        for watcher in watchers:
            watcher.join()
    assert not falls
    hub.close()
    # Each device was counted, and once: one overflow of each, and all of their audio.
    assert hub.overflows == len(devices.opened)
    assert [source.closed for source in devices.opened] == [1] * len(devices.opened)
    counts = hub.counts()
    assert set(counts) == {"a", "b", "c"}
    assert astuple(hub.stats()) == astuple(sum(counts.values(), type(hub.stats())()))


def test_event_numbers_never_repeat(devices: Devices, hubs: Callable[..., DeviceManager]) -> None:
    hub, heard = hubs(device=["a=a", "b=b"]), []

    def closes(device: str, count: int) -> Callable[[list[WindowResult]], bool]:
        return lambda taken: (
            sum(not e.open for h in taken if h.device == device for e in h.events) >= count
        )

    def opens(device: str) -> Callable[[list[WindowResult]], bool]:
        return lambda taken: any(e.open for h in taken if h.device == device for e in h.events)

    heard += take(hub, opens("a"))
    hub.change(config(device=["a=a", "b=b"], channel=2), Says())  # Opened again.
    heard += take(hub, lambda t: closes("a", 1)(t) and opens("a")(t))
    hub.change(config(device=["a=a", "b=b"], channel=2, hop_s=0.5), Says())  # Another track.
    heard += take(hub, lambda t: closes("a", 1)(t) and opens("a")(t))
    devices.named("a").end.set()
    heard += take(hub, closes("a", 1))
    hub.change(config(device=["b=b"], channel=2, hop_s=0.5), Says())
    hub.change(config(device=["a=a", "b=b"], channel=2, hop_s=0.5), Says())  # It is back.
    heard += take(hub, opens("a"))
    heard += hub.close()
    numbers = [e.number for h in heard if h.device == "a" for e in h.events if not e.open]
    assert len(numbers) >= 4
    assert len(numbers) == len(set(numbers))


# --- closing


def test_two_threads_close_at_once_and_again(devices: Devices) -> None:
    for _ in range(30):
        hub = DeviceManager(config(device=["a=a", "b=b"]), Says())
        hub.start()
        errors: list[BaseException] = []

        def close(hub: DeviceManager = hub, errors: list[BaseException] = errors) -> None:
            try:
                hub.close()
                assert not hub.listening
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=close) for _ in range(3)]
        for thread in threads:
            thread.start()
        while hub.listening:
            hub.take()
        for thread in threads:
            thread.join()
        assert not errors
        assert hub.close() == []
        hub.start()
        assert hub.take() is None
    assert {source.closed for source in devices.opened} == {1}


def test_a_hub_that_never_began_gives_its_devices_back(devices: Devices) -> None:
    hub = DeviceManager(config(device=["a=a", "b=b"]), Says())
    hub.close()
    hub.start()
    assert [source.closed for source in devices.opened] == [1, 1]


def test_a_device_that_is_busy_is_closed_by_its_own_thread_later(devices: Devices) -> None:
    go_on, asked = threading.Event(), threading.Event()

    class Slow(Says):
        def describe(self, features: Floats) -> Description:
            asked.set()
            go_on.wait(60.0)
            return super().describe(features)

    hub = DeviceManager(config(device="a"), Slow())
    hub.start()
    assert asked.wait(60.0)
    hub.close(0.0)
    assert devices.opened[0].closed == 0
    go_on.set()
    until(lambda: devices.opened[0].closed == 1)


# --- changes that fail


@pytest.mark.parametrize(
    "wanted",
    [
        {"device": ["a=a", "b=b", "c=nothing"]},
        {"device": ["c=nothing"]},
        {"device": ["c=nothing", "a=a"], "channel": 2},
        {"device": ["a=a", "b=b"], "channel": 5},
        {"device": ["x=a", "y=b"], "channel": 5},
    ],
)
@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("gone", [[], ["a"], ["a", "b"]])
def test_a_change_that_fails_leaves_every_device_or_waits_for_it(
    devices: Devices,
    hubs: Callable[..., DeviceManager],
    monkeypatch: pytest.MonkeyPatch,
    wanted: dict[str, Any],
    exclusive: bool,
    gone: list[str],
) -> None:
    monkeypatch.setattr(hub_module, "excludes", lambda *_: exclusive)
    devices.broken["nothing"] = AudioError("nothing: no such file")
    devices.wrong_channel = {"a", "b"}
    hub = hubs(device=["a=a", "b=b"])
    says(hub, "a", "b")
    for name in gone:  # It cannot be opened again.
        devices.broken[name] = DeviceError(f"device '{name}': no such file, and no microphone")
    with pytest.raises((AudioError, DeviceError)):
        hub.change(config(**wanted), Says())
    assert {status.device for status in hub.status()} == {"a", "b"}
    assert hub.listening
    devices.broken.clear()
    says(hub, "a", "b")
    hub.change(config(device=["a=a", "c=c"]), Says())
    says(hub, "a", "c")


def test_a_new_device_does_not_replace_the_only_one_while_it_is_down(
    devices: Devices, hubs: Callable[..., DeviceManager]
) -> None:
    devices.broken["camera"] = DOWN
    hub = hubs(device="a")
    with pytest.raises(UnavailableError):
        hub.change(config(device="camera"), Says())
    says(hub, "a")
    assert devices.named("a").closed == 0
    hub.change(config(device=["a", "camera"]), Says())  # But beside it, it is waited for.
    devices.broken.clear()
    says(hub, "a", "camera")


def test_a_stream_that_is_down_at_the_start_is_waited_for_beside_others(
    devices: Devices, hubs: Callable[..., DeviceManager], caplog: pytest.LogCaptureFixture
) -> None:
    devices.broken["camera"] = DOWN
    with pytest.raises(UnavailableError, match="connection refused"):
        hubs(device="camera")
    hub = hubs(device=["a=a", "garden=camera"])
    take(hub, lambda heard: any(h.caption for h in heard))
    until(lambda: f"{DOWN}; waiting for it" in caplog.messages)
    assert not any("listening to camera" in message for message in caplog.messages)
    devices.broken.clear()
    take(hub, lambda heard: any(h.device == "garden" and h.caption for h in heard))
    assert any("camera: is back after" in message for message in caplog.messages)


def test_the_last_device_that_fails_ends_it_and_one_of_several_does_not(
    devices: Devices, hubs: Callable[..., DeviceManager]
) -> None:
    hub = hubs(device=["a=a", "b=b"])
    for name in ("a", "b"):
        devices.named(name)._error = AudioError(f"{name}: is damaged")
    devices.named("a").end.set()
    take(hub, lambda _: len(hub.status()) == 1)
    assert hub.failed
    devices.named("b").end.set()
    with pytest.raises(AudioError, match="b: is damaged"):
        take(hub, lambda _: not hub.listening)
    assert hub.close() == []


@pytest.mark.usefixtures("devices")
def test_the_clock_goes_on_in_whatever_replaces_a_device(
    hubs: Callable[..., DeviceManager],
) -> None:
    hub = hubs(device="a")
    take(hub, lambda heard: any(h.caption and h.caption.end_s > 20.0 for h in heard))
    hub.change(config(device=["b=b", "c=c"]), Says())
    assert all(status.now_s > 20.0 for status in hub.status())


# --- nobody reads


def test_what_nobody_takes_is_dropped_with_a_line_but_no_event_stays_open(
    devices: Devices,
    hubs: Callable[..., DeviceManager],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(hub_module, "KEPT", 5)
    hub = hubs(device="a")
    until(lambda: hub.unread_windows > 3)
    devices.named("a").end.set()
    (thread,) = [t for t in threading.enumerate() if t.name == "ear a"]
    thread.join(60.0)
    heard = take(hub, lambda _: not hub.listening)
    events = [event for h in heard for event in h.events]
    assert [event.open for event in events] == [True, False]
    assert sum(h.caption is not None for h in heard) == 5
    assert events[-1].end_s > 5.0
    assert caplog.messages.count("nobody takes the captions; they are dropped until somebody does")
    dropped = hub.unread_windows
    assert f"captions are taken again; {dropped} windows were dropped" in caplog.messages
    assert len([message for message in caplog.messages if "dropped" in message]) == 2


# --- the time on the wall


class SettableTime:
    """In place of `time` in the loop: the wall clock can be set."""

    def __init__(self) -> None:
        self.offset_s = 0.0
        self.monotonic, self.perf_counter = time.monotonic, time.perf_counter

    def time(self) -> float:
        return 1e9 + self.offset_s + self._jitter()

    def _jitter(self) -> float:
        return float(np.random.default_rng().uniform(0.0, 0.05))


class Stepped:
    """Blocks of 1 s, each of which arrives a second later by the wall clock."""

    name, rate, lossless = "stepped", 16_000, False

    def __init__(self, clock: SettableTime, levels: list[float], set_at: int) -> None:
        self._clock, self._levels, self._set_at = clock, levels, set_at

    def blocks(self) -> Iterator[Block]:
        rng = np.random.default_rng(0)
        for number, level in enumerate(self._levels):
            self._clock.offset_s += 1.0
            if number == self._set_at:
                self._clock.offset_s += 3600.0
            yield Block((level * rng.standard_normal((16_000, 1))).astype(np.float32))

    def close(self) -> None:
        pass


def test_all_lines_of_an_event_have_one_time_even_if_the_clock_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SettableTime()
    monkeypatch.setattr(loop_module, "time", clock)
    levels = [0.0] * 5 + [0.1] * 10 + [0.0] * 8 + [0.1] * 8
    monkeypatch.setattr(hub_module, "open_source", lambda *_: Stepped(clock, levels, 10))
    hub = DeviceManager(config(), Says())
    hub.start()
    heard = take(hub, lambda _: not hub.listening)
    at: dict[int, list[Any]] = {}
    for one in heard:
        for event in one.events:
            at.setdefault(event.number, []).append(one.record(event)["at"])
    assert [len(set(times)) for times in at.values()] == [1, 1]
    assert all(len(times) >= 2 for times in at.values())
    assert at[1][0].startswith("2001-09-09T01:46:4")  # 1e9 s, and about 5 s
    assert at[2][0].startswith("2001-09-09T02:47:0")  # an hour and 23 s
    windows = [h.at(h.caption.start_s) for h in heard if h.caption]
    # Scheduling does not show: windows before the clock is set follow each other by a second.
    assert [str(time)[-4:] for time in windows[:9]] == [str(windows[0])[-4:]] * 9
