"""The captioner as a part of somebody's program."""

from __future__ import annotations

import json
import logging
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import soundfile

from edge.config import StreamConfig
from edge.errors import AudioError, ConfigError
from edge.inference.captioner import Description, load_captioner
from edge.sinks.formats import make_format
from edge.sinks.targets import FORMATS
from edge.streaming import stream as stream_module
from edge.streaming.results import WindowResult
from edge.streaming.stream import Listener, listen, stream
from tests.helpers import ROOT, SAMPLE, aac_stream
from tests.running import until


def ears() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith(("ear ", "listener"))]


def test_it_says_what_the_command_says() -> None:
    done = aac_stream("--device", str(SAMPLE), "--fast", "--format", "events")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    heard = list(stream(str(SAMPLE), fast=True))
    assert [one.record(event) for one in heard for event in one.events] == told
    assert sum(one.caption is not None for one in heard) == 71
    assert not ears()


def test_a_loop_that_is_left_gives_everything_back() -> None:
    open_files = len(os.listdir("/proc/self/fd"))
    for heard in stream(str(SAMPLE), fast=True):
        assert heard.caption is not None
        assert heard.caption.text == "a rooster crows"
        break
    del heard
    until(lambda: not ears(), "the end of its threads")
    assert len(os.listdir("/proc/self/fd")) == open_files
    with stream(str(SAMPLE)) as live:
        assert ears() == [f"ear {SAMPLE}"]
    assert not ears()
    assert list(live) == []


def test_errors_come_before_anything_is_heard() -> None:
    with pytest.raises(ConfigError, match="hop_s"):
        stream(str(SAMPLE), hop_s=77)
    with pytest.raises(AudioError, match="no such file"):
        stream("none.wav")
    assert not ears()


def test_a_callback_is_called_and_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    called: list[WindowResult] = []

    def fail_at_first(heard: WindowResult) -> None:
        called.append(heard)
        if len(called) < 3:
            raise ValueError("of the caller")

    logging.getLogger("edge").propagate = True
    with listen(fail_at_first, str(SAMPLE), fast=True) as listener:
        listener.wait()
    assert sum(heard.caption is not None for heard in called) == 71
    failures = [record for record in caplog.records if "the callback failed" in record.message]
    assert len(failures) == 1
    assert failures[0].exc_info is not None


def test_a_callback_may_end_it() -> None:
    called: list[WindowResult] = []

    def enough(heard: WindowResult) -> None:
        called.append(heard)
        if len(called) == 2:
            listener.close()

    listener = listen(enough, str(SAMPLE), window_s=1.0, hop_s=0.2)
    listener.wait()
    assert len(called) == 2
    assert not ears()


@pytest.fixture
def uncaught(monkeypatch: pytest.MonkeyPatch) -> list[threading.ExceptHookArgs]:
    """What threads raised and nobody caught; SystemExit ends a thread without a word."""
    found: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", found.append)
    return found


@pytest.mark.parametrize("fast", [True, False])
def test_a_hundred_rounds_of_listening_and_closing(
    uncaught: list[threading.ExceptHookArgs], monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    """Closed by the caller, by two threads at once, by the callback, and as the device ends."""
    captioner = load_captioner()
    monkeypatch.setattr(stream_module, "load_model", lambda _: captioner)
    monkeypatch.setattr(captioner, "describe", lambda _: Description("x", 0.9, quiet=False))
    open_files = len(os.listdir("/proc/self/fd"))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(100 if fast else 8):
            heard, made = threading.Event(), queue.Queue[Listener]()

            def callback(
                _: WindowResult,
                heard: threading.Event = heard,
                made: queue.Queue[Listener] = made,
                closes: bool = number % 4 == 3,
            ) -> None:
                if closes and not heard.is_set():
                    made.get(timeout=60.0).close()
                heard.set()

            listener = listen(callback, str(SAMPLE), fast=fast, window_s=1.0, hop_s=0.1)
            made.put(listener)
            if number % 2:
                assert heard.wait(60.0)
            others = [threading.Thread(target=listener.close) for _ in range(number % 3)]
            for other in others:
                other.start()
            listener.close()
            for other in others:
                other.join()
            listener.close()
            assert not ears()
    finally:
        sys.setswitchinterval(interval)
    assert not uncaught
    assert len(os.listdir("/proc/self/fd")) == open_files


def test_threads_may_share_a_stream_and_close_it_while_they_wait(
    uncaught: list[threading.ExceptHookArgs],
) -> None:
    live = stream(str(SAMPLE), window_s=30.0, hop_s=30.0)
    readers = [threading.Thread(target=list, args=(live,)) for _ in range(3)]
    for reader in readers:
        reader.start()
    live.close()
    for reader in readers:
        reader.join(60.0)
        assert not reader.is_alive()
    live.close()
    assert not uncaught


def test_a_callback_that_ends_its_thread_gives_the_device_back(
    uncaught: list[threading.ExceptHookArgs],
) -> None:
    called: list[WindowResult] = []

    def leave(heard: WindowResult) -> None:
        called.append(heard)
        sys.exit()

    listener = listen(leave, str(SAMPLE), window_s=1.0, hop_s=0.2)
    listener.wait()
    until(lambda: not ears(), "the end of its threads")
    assert len(called) == 1
    assert not [args for args in uncaught if args.exc_type is not SystemExit]


@pytest.mark.parametrize("start_s", [0.5, 53.0])
@pytest.mark.parametrize(
    ("seconds", "fast"), [(1.0, False), *((s, True) for s in (1.0, 3.0, 5.0, 6.0, 9.0))]
)
def test_a_short_recording_says_in_every_format_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_s: float, seconds: float, fast: bool
) -> None:
    """A rooster, and a baby. Few windows can name them, or one alone; of 1 s it says a crow."""
    captioner, words = load_captioner(), ("rooster", "crow") if start_s < 50.0 else ("baby",)
    monkeypatch.setattr(stream_module, "load_model", lambda _: captioner)
    rate = soundfile.info(SAMPLE).samplerate
    samples, _ = soundfile.read(SAMPLE, round(seconds * rate), round(start_s * rate))
    path = tmp_path / "short.wav"
    soundfile.write(path, samples, rate)
    heard = list(stream(str(path), fast=fast))
    for kind in FORMATS:
        form = make_format(StreamConfig(device=str(path)), kind)
        text = "".join(form.of(one) for one in heard) + form.end()
        assert any(word in text for word in words), kind


def test_the_example_waits_for_a_sound() -> None:
    command = [sys.executable, str(Path("examples") / "wake_me.py"), "--device", str(SAMPLE)]
    done = subprocess.run(
        [*command, "birds"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert ": birds sing (" in done.stdout
