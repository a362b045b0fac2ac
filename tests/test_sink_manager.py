"""Which sinks a reload keeps, opens and closes, and that none is left behind."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.config import StreamConfig
from edge.errors import OutputError
from edge.service.runner import Runner, load_model
from edge.service.signals import Signals
from edge.sinks.manager import SinkManager
from edge.sinks.sink_settings import wanted_sinks
from edge.streaming.device_manager import DeviceManager
from edge.streaming.event_tracker import Event
from edge.streaming.results import WindowResult
from tests.helpers import SAMPLE
from tests.running import WAIT_S, until

RATE = 16_000
CONFIG = StreamConfig(device=str(SAMPLE), fast=True, output="out.jsonl", format="jsonl")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeviceManager]:
    """One that has not begun to listen, and a folder of its own for the sinks."""
    monkeypatch.chdir(tmp_path)
    hub = DeviceManager(CONFIG, load_model(CONFIG))
    yield hub
    hub.close()


def open_sinks(manager: SinkManager) -> dict[str, Any]:
    """The workers, by kind of sink and name."""
    return {f"{w.kind} {worker.sink.name}": worker for w, worker in manager._workers.items()}


def change(manager: SinkManager, config: StreamConfig, rate: int = RATE) -> set[str]:
    """Use `config`; return the sinks that are not those there were."""
    before = open_sinks(manager)
    with manager.changed(config, rate):
        pass
    after = open_sinks(manager)
    for name, outlet in before.items():
        assert outlet.join(0.0) == (after.get(name) is not outlet), name
    return {name for name, outlet in after.items() if before.get(name) is not outlet}


def heard(number: int, is_open: bool, text: str = "a dog barks") -> WindowResult:
    return WindowResult("mic", None, (Event(number, 1.0, 2.0, text, 0.8, is_open),))


def test_a_reload_keeps_each_sink_whose_own_settings_stay(hub: DeviceManager) -> None:
    config = replace(CONFIG, also=["srt:a.srt"], command=["true"], keep_audio=1.0)
    manager = SinkManager(config, hub)
    assert len(hub.listeners) == 1  # the clips
    assert change(manager, config) == set()
    config = replace(config, command_every_s=20.0, window_s=4.0, hop_s=0.5, device="other.wav")
    assert change(manager, config) == set()
    config = replace(config, also=["srt:a.srt", "events:b.jsonl"])
    assert change(manager, config) == {"output b.jsonl"}
    config = replace(config, also=["events:./b.jsonl", "srt:a.srt"])  # the same, in other words
    assert change(manager, config) == set()
    config = replace(config, command="true again", keep_audio=0.0)
    assert change(manager, config) == {"command command 'true again'"}
    assert not hub.listeners
    config = replace(config, output="c.jsonl", command=None)
    assert change(manager, config) == {"output c.jsonl"}
    assert len(open_sinks(manager)) == 3
    manager.close(WAIT_S)
    manager.close(WAIT_S)


def test_clips_follow_the_sample_rate_of_another_model(hub: DeviceManager) -> None:
    config = replace(CONFIG, keep_audio=1.0)
    manager = SinkManager(config, hub)
    assert change(manager, config, 2 * hub.features.sample_rate) == {"keeper folder kept"}
    manager.close(WAIT_S)


def test_subtitles_go_on_through_a_reload(hub: DeviceManager) -> None:
    config = replace(CONFIG, also=["srt:a.srt"])
    manager = SinkManager(config, hub)
    manager.push(heard(1, False))
    change(manager, replace(config, command=["true"], hop_s=0.5))
    manager.push(heard(2, False, "rain falls"))
    manager.close(WAIT_S)
    cues = Path("a.srt").read_text().split("\n\n")
    assert [cue.split("\n")[::2] for cue in cues if cue] == [
        ["1", "a dog barks"],
        ["2", "rain falls"],
    ]


def test_settings_that_change_in_place_reach_the_sinks(hub: DeviceManager) -> None:
    config = replace(CONFIG, also=["text:a.txt"], command=["true"])
    manager = SinkManager(config, hub)
    change(manager, replace(config, device=["mic=a.wav", "hall=b.wav"], command_every_s=7.0))
    manager.push(heard(1, True))
    command = next(o.sink for name, o in open_sinks(manager).items() if "command" in name)
    manager.close(WAIT_S)
    assert "mic: a dog barks" in Path("a.txt").read_text()
    assert command._every_s == 7.0


@pytest.mark.parametrize("bad", ["/nowhere/out.jsonl", "busy"])
def test_a_reload_that_fails_leaves_all_as_it_was(hub: DeviceManager, bad: str) -> None:
    Path("busy").write_text("subtitles of another run")
    manager = SinkManager(CONFIG, hub)
    before, threads = open_sinks(manager), threading.active_count()
    config = replace(CONFIG, output="b.jsonl", also=[f"srt:{bad}"])
    with pytest.raises(OutputError, match=bad), manager.changed(config, RATE):
        raise AssertionError("it is not to get here")
    with pytest.raises(ZeroDivisionError), manager.changed(replace(CONFIG, output="c"), RATE):
        raise ZeroDivisionError  # as if a device could not be opened
    assert open_sinks(manager) == before
    assert threading.active_count() == threads
    manager.push(heard(1, True))
    manager.close(WAIT_S)
    assert not Path("b.jsonl").read_text()


def test_a_busy_sink_that_has_no_file_does_not_hinder_a_reload(hub: DeviceManager) -> None:
    """As a command that takes long, or a broker that is away."""
    config = replace(CONFIG, command=["sleep", "1000"])
    manager = SinkManager(config, hub)
    manager.push(heard(1, True))
    (command,) = (o.sink for name, o in open_sinks(manager).items() if "command" in name)
    until(lambda: command._process is not None, "the command")
    assert change(manager, replace(config, also=["text:a.txt"])) == {"output a.txt"}
    manager.close(0.1)
    assert command._process.poll() is not None


def test_a_file_that_was_moved_is_opened_again_though_settings_are_not_right(
    hub: DeviceManager, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("edge"), "propagate", True)
    manager = SinkManager(CONFIG, hub)
    Path("out.jsonl").rename("out.1")
    manager.reopen(OutputError("told already"))
    assert Path("out.jsonl").exists()
    assert not caplog.records
    manager.close(WAIT_S)


def test_nothing_is_left_open_if_the_page_cannot_be(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with socket.socket() as taken, Signals() as signals:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = replace(
            CONFIG,
            serve=f"127.0.0.1:{taken.getsockname()[1]}",
            output=str(tmp_path / "out"),
            command="true",
            mqtt="mqtt://127.0.0.1:1",
        )
        with pytest.raises(OutputError, match="address already in use"):
            Runner(config, lambda: config, signals)
    until(lambda: set(threading.enumerate()) <= before, "no more threads")


def test_another_page_on_the_same_port_takes_its_place(hub: DeviceManager) -> None:
    pytest.importorskip("uvicorn", reason="needs the extra: pip install 'aac-stream[web]'")
    manager = SinkManager(replace(CONFIG, serve="127.0.0.1:0"), hub)

    def port() -> int:
        (page,) = (o.sink for name, o in open_sinks(manager).items() if "page" in name)
        with socket.create_connection(("127.0.0.1", page.port), WAIT_S):
            return int(page.port)

    first = port()
    for host in ("127.0.0.1", "localhost"):
        change(manager, replace(CONFIG, serve=f"{host}:{first}"))
        assert port() == first
    Path("busy").write_text("subtitles of another run")
    with pytest.raises(OutputError, match="busy"):
        change(manager, replace(CONFIG, serve=f"127.0.0.1:{first}", also=["srt:busy"]))
    assert port() == first
    manager.close(WAIT_S)


def test_every_sink_may_be_closed_by_several_threads_at_once(hub: DeviceManager) -> None:
    pytest.importorskip("uvicorn", reason="needs the extra: pip install 'aac-stream[web]'")
    pytest.importorskip("paho.mqtt", reason="type: pip install 'aac-stream[mqtt]'")
    config = replace(
        CONFIG,
        also=["srt:a.srt"],
        command=["true"],
        keep_audio=1.0,
        serve="127.0.0.1:0",
        mqtt="mqtt://127.0.0.1:1",
    )
    sinks = [wanted.open() for wanted in wanted_sinks(config, hub, RATE)]
    before = len(os.listdir("/proc/self/fd"))
    threads = [threading.Thread(target=sink.close) for sink in sinks for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()
    until(lambda: len(os.listdir("/proc/self/fd")) < before, "files that were given back")
    with open("other", "w") as other:  # It has the number of one of them.
        for sink in sinks:
            sink.close()
        other.write("it is still open")
        other.flush()
