"""A command that is run as an event opens: real ones, with what they are told."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from edge.config import StreamConfig
from edge.errors import ConfigError
from edge.sinks import command as module
from edge.sinks.command import CommandSink
from edge.sinks.worker import SinkWorker
from edge.streaming.event_tracker import Event
from edge.streaming.results import WindowResult
from tests.helpers import SAMPLE, aac_stream, the_one_line, times
from tests.running import running, until

# Appends what it is told to the file that is its argument.
TELL = """
import json, os, sys
told = {key: value for key, value in os.environ.items() if key.startswith("AAC_")}
with open(sys.argv[1], "a") as file:
    file.write(json.dumps([told, json.loads(sys.stdin.read())]) + "\\n")
print("said by the command")
"""
FAST = ("--device", str(SAMPLE), "--fast")


def tell(out: Path) -> list[str]:
    return [sys.executable, "-c", TELL, str(out)]


def settings(tmp_path: Path, command: object, **more: object) -> tuple[str, str]:
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps({"command": command, **more}))  # JSON is YAML
    return "--config", str(path)


def opened(number: int, text: str, at_s: float, is_open: bool = True) -> Event:
    return Event(number, at_s - 2.0, at_s, text, 0.8, is_open)


def calls(sink: CommandSink, *events: Event, device: str = "mic", **of: object) -> int:
    return len(sink.of(WindowResult(device, None, events, **of)) or [])  # type: ignore[arg-type]


def test_it_is_run_once_for_each_event_and_told_what_was_heard(tmp_path: Path) -> None:
    out = tmp_path / "told"
    done = aac_stream(*FAST, "--format", "events", *settings(tmp_path, tell(out)))
    assert done.returncode == 0
    events = [json.loads(line) for line in done.stdout.splitlines()]  # and none of the command's
    first = {event["number"]: event for event in reversed(events) if event["open"]}
    told = [json.loads(line) for line in out.read_text().splitlines()]
    assert [record for _, record in told] == [first[number] for number in sorted(first)]
    environment, record = told[0]
    assert environment["AAC_TEXT"] == record["text"] == "a rooster crows"
    assert environment["AAC_DEVICE"] == str(SAMPLE)
    assert float(environment["AAC_CONFIDENCE"]) == record["confidence"]
    assert (environment["AAC_NUMBER"], environment["AAC_AT"]) == ("1", "")
    assert times("said by the command", done.stderr.splitlines()) == len(told)


def test_no_shell_reads_what_is_said() -> None:
    sink = CommandSink(StreamConfig(command="true '$(touch x); a b'"))
    (call,) = (
        sink.of(WindowResult("a; rm -rf b", None, (opened(1, "`reboot` | $(id)", 2.0),))) or []
    )
    assert sink._words == ["true", "$(touch x); a b"]
    assert call.environment["AAC_TEXT"] == "`reboot` | $(id)"
    assert call.environment["AAC_DEVICE"] == "a; rm -rf b"


def test_the_same_sound_waits_and_another_does_not() -> None:
    sink = CommandSink(StreamConfig(command="true", command_every_s=10.0))
    assert calls(sink, opened(1, "a dog barks", 5.0)) == 1
    assert calls(sink, opened(1, "a dog barks loudly", 6.0)) == 0  # only reworded
    assert calls(sink, opened(1, "a dog barks loudly", 7.0, is_open=False)) == 0
    assert calls(sink, opened(2, "a dog barks", 12.0)) == 0
    assert calls(sink, opened(3, "a baby cries", 12.0)) == 1
    assert calls(sink, opened(1, "a dog barks", 12.0), device="garden") == 1
    assert calls(sink, opened(4, "a dog barks", 15.0)) == 1
    for number in range(5, 500):
        assert calls(sink, opened(number, f"sound {number}", 10.0 * number)) == 1
    assert len(sink._run_at) < 5


def test_events_that_are_counted_anew_are_others() -> None:
    """As after a reload that opens the device again."""
    sink = CommandSink(StreamConfig(command="true", command_every_s=0.0))
    for number in (1, 2):
        assert calls(sink, opened(number, "a dog barks", 5.0)) == 1
        assert calls(sink, opened(number, "a dog barks", 7.0, is_open=False)) == 0
    assert calls(sink, opened(1, "a dog barks", 9.0)) == 1


def test_the_password_of_the_broker_is_not_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AAC_STREAM_MQTT_PASSWORD", "open-sesame")
    sink = CommandSink(StreamConfig(command=["sh", "-c", f"env >{tmp_path}/out"]))
    sink.put(sink.of(WindowResult("mic", None, (opened(1, "x", 2.0),))) or [])
    assert "AAC_TEXT=x" in (tmp_path / "out").read_text()
    assert "open-sesame" not in (tmp_path / "out").read_text()


def test_what_is_long_over_is_not_told() -> None:
    sink = CommandSink(StreamConfig(command="true"))
    now = datetime.now(timezone.utc)
    for number, ago_s, run in ((1, 30.0, 1), (2, 90.0, 0)):
        began = now - timedelta(seconds=ago_s + 5.0)
        assert calls(sink, opened(number, f"sound {number}", 5.0), began=began) == run


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ([sys.executable, "-c", "raise SystemExit(3)"], "ended with exit code 3"),
        (["true"], ""),
    ],
)
def test_one_that_fails_is_told_once_and_captions_go_on(
    tmp_path: Path, command: list[str], says: str
) -> None:
    done = aac_stream(*FAST, *settings(tmp_path, command))
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 8
    assert times("command ", done.stderr.splitlines()) == bool(says)
    assert says in done.stderr


def test_one_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "LIMIT_S", 0.5)
    pid = tmp_path / "pid"
    sink = CommandSink(StreamConfig(command=["sh", "-c", f"sleep 1000 & echo $! > {pid}; wait"]))
    problem = sink._run((sink.of(WindowResult("mic", None, (opened(1, "x", 2.0),))) or [])[0])
    assert "took more than" in problem
    state = Path(f"/proc/{pid.read_text().strip()}/stat")
    until(lambda: not state.exists() or state.read_text().split()[2] == "Z", "the end of its child")


def test_one_that_still_runs_at_the_end_is_ended_with_all_it_started(tmp_path: Path) -> None:
    """Though both of them ignore SIGTERM."""
    pids = tmp_path / "pids"
    wait = f"trap '' TERM; echo $$ >> {pids}; sleep 1000"
    (tmp_path / "script").write_text(wait)
    script = f"sh {tmp_path / 'script'} & {wait}"
    command = CommandSink(StreamConfig(command=["sh", "-c", script]))
    outlet = SinkWorker(command, sources_wait=False)
    for number in (1, 2, 3):  # and those that wait are not run
        outlet.push(WindowResult("mic", None, (opened(number, f"sound {number}", 2.0),)))
    until(lambda: pids.exists() and len(pids.read_text().split()) == 2, "both")
    outlet.close(0.1)
    until(lambda: outlet.join(0.0), "the end of the thread")
    for pid in pids.read_text().split():
        state = Path(f"/proc/{pid}/stat")
        until(lambda state=state: _has_ended(state), "the end of both")
    assert len(pids.read_text().split()) == 2
    command.cancel()
    command.close()


def _has_ended(state: Path) -> bool:
    try:
        return state.read_text().split()[2] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_what_no_environment_can_hold_is_left_out(tmp_path: Path) -> None:
    """A NUL, a file's name that is not UTF-8, and half a letter."""
    sink = CommandSink(StreamConfig(command=["sh", "-c", f"env >>{tmp_path}/out"]))
    for number, name in enumerate(["a\0b", "k\udcfcche", "x\ud800y", "küche"]):
        heard = WindowResult(name, None, (opened(number, f"{name} rings", 2.0),))
        sink.put(sink.of(heard) or [])
    lines = (tmp_path / "out").read_bytes().splitlines()
    assert [line for line in lines if line.startswith(b"AAC_DEVICE")] == [
        b"AAC_DEVICE=ab",
        b"AAC_DEVICE=k\xfcche",
        b"AAC_DEVICE=x\\ud800y",
        "AAC_DEVICE=küche".encode(),
    ]
    sink.close()


def test_what_it_prints_is_not_lost(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any log level, on both of its outputs, though the last line does not end."""
    monkeypatch.setattr(logging.getLogger("edge"), "propagate", True)
    monkeypatch.setattr(module, "READ_S", 60.0)
    logging.getLogger("edge").setLevel("ERROR")
    sink = CommandSink(StreamConfig(command=["sh", "-c", "echo one; printf two >&2"]))
    sink.put(sink.of(WindowResult("mic", None, (opened(1, "x", 2.0),))) or [])
    sink.close()
    assert [record.getMessage() for record in caplog.records] == ["one", "two"]


def test_it_holds_up_neither_captions_nor_the_end(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    often = ("--window-s", "3", "--format", "jsonl", "--output", str(out))
    with running("--device", str(SAMPLE), *often, *settings(tmp_path, "sleep 20")) as run:
        until(lambda: out.exists() and "rooster" in out.read_text())
        time.sleep(2.0)  # it sleeps meanwhile
        before = len(out.read_text().splitlines())
        until(lambda: len(out.read_text().splitlines()) > before + 1)
        run.end()
        assert run.process.returncode == 0, run.err
    assert not times("skipped", run.err)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("no-such-program-here --at-all", "there is no such program; check the setting 'command'"),
        ("' '", "there is no such program"),
        ("say 'it", "cannot be read (No closing quotation)"),
    ],
)
def test_one_that_cannot_be_is_one_line(command: str, says: str) -> None:
    done = aac_stream(*FAST, "--command", command)
    assert says in the_one_line(done)
    assert len(done.stderr.splitlines()) == 1


def test_a_command_with_a_nul_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"command: .* holds a character that is not allowed"):
        StreamConfig(command=["true", "a\0b"])
