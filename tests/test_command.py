"""A command per event: real ones, that work, fail, hang and are not there."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

import edge.sinks.command
from edge.config import StreamConfig
from edge.errors import ConfigError
from edge.heard import Heard
from edge.loop import Caption
from edge.ongoing import Ongoing
from edge.sinks.command import Command
from edge.track import Event
from edge.words import words_of
from tests.helpers import SAMPLE, aac_stream, captions_of, the_one_line, times
from tests.running import running, until

OFTEN = ("--window-s", "1", "--hop-s", "0.25")


def script(path: Path, body: str) -> str:
    """A program in the shell's language."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def event(number: int, text: str = "a dog barks", end_s: float = 1.0, more: bool = True) -> Event:
    return Event(number, 0.0, end_s, text, 0.5, more)


def heard(*events: Event, now_s: float = 1.0) -> Heard:
    return Heard("mic", Caption(now_s - 1.0, now_s, "caption", "", 0.5, -20.0), events)


# --- the setting


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("notify-send 'a sound' \"$AAC_TEXT\"", ["notify-send", "a sound", "$AAC_TEXT"]),
        (["sh", "-c", "echo a; echo b"], ["sh", "-c", "echo a; echo b"]),
    ],
)
def test_a_text_is_split_as_a_shell_would_and_a_list_is_not(
    command: str | list[str], words: list[str]
) -> None:
    assert words_of(command) == words


@pytest.mark.parametrize(
    ("command", "says"),
    [("", "names no program"), ([], "names no program"), ("say 'a", "No closing quotation")],
)
def test_what_is_no_command_is_one_line(command: str | list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=f"command: .*{says}"):
        StreamConfig(command=command)


def test_a_program_that_is_not_there_is_told_before_listening() -> None:
    line = the_one_line(aac_stream("--device", str(SAMPLE), "--command", "no-such-thing --now"))
    assert line.endswith(
        "command: there is no program 'no-such-thing'; install it, or give its path"
    )


# --- which events


def test_events_go_on_until_they_end() -> None:
    ongoing = Ongoing()
    dog, howl, rain = event(1), event(1, "a dog howls"), event(2, "rain falls")
    assert ongoing.push(heard(dog)) == [dog]
    assert ongoing.push(heard(howl, rain)) == [howl, rain]
    assert ongoing.push(heard(event(1, more=False))) == [rain]
    assert ongoing.push(heard(dog)) == [rain, dog]
    assert ongoing.of("garden") == []


def told(every_s: float, *steps: Heard) -> list[tuple[str, str]]:
    """The number and the text of the events that a command would be run for."""
    command = Command(StreamConfig(command="true", command_every_s=every_s))
    runs = [run for step in steps for run in command.of(step) or []]
    command.close()
    return [(run.environment["AAC_NUMBER"], run.environment["AAC_TEXT"]) for run in runs]


def test_it_is_run_once_for_each_event_and_not_for_other_words() -> None:
    steps = (
        heard(event(1)),
        heard(event(1, "a dog howls"), now_s=2.0),
        heard(event(2, "rain falls"), now_s=3.0),
        heard(event(1, more=False), now_s=4.0),
        heard(event(3), now_s=5.0),
    )
    assert told(0.0, *steps) == [("1", "a dog barks"), ("2", "rain falls"), ("3", "a dog barks")]


def test_what_begins_too_soon_is_told_later_if_it_still_goes_on() -> None:
    steps = (
        heard(event(1)),
        heard(event(1, more=False), event(2, "a cat meows"), now_s=3.0),
        heard(event(2, "a cat meows", more=False), event(3, "a bell"), now_s=6.0),
        heard(event(3, "a fire alarm rings"), now_s=9.0),
        heard(now_s=11.0),
        heard(now_s=30.0),
    )
    assert told(10.0, *steps) == [("1", "a dog barks"), ("3", "a fire alarm rings")]


# --- runs


def test_it_is_told_which_event_and_captions_stay_apart(tmp_path: Path) -> None:
    output = tmp_path / "heard"
    program = script(
        tmp_path / "tell",
        f'echo chatter; echo more >&2; env | grep ^AAC_ | sort | tr "\\n" "|" >>{output}; '
        f"cat >>{output}",
    )
    arguments = ("--device", f"the yard={SAMPLE}", "--fast", "--format", "events")
    done = aac_stream(*arguments, "--command", shlex.quote(program), "--command-every-s", "0")
    assert done.returncode == 0, done.stderr
    events = captions_of(done.stdout.splitlines())  # no chatter
    assert "chatter" in done.stderr
    assert "more" in done.stderr
    lines = output.read_text().splitlines()
    opened = {e["number"]: e for e in reversed(events) if e["open"]}
    assert len(lines) == len(opened) > 5
    for line in lines:
        *variables, text = line.split("|")
        record = json.loads(text)
        assert record == opened[record["number"]]
        assert variables == [
            "AAC_AT=",
            f"AAC_CONFIDENCE={record['confidence']}",
            "AAC_DEVICE=the yard",
            f"AAC_NUMBER={record['number']}",
            f"AAC_START_S={record['start_s']}",
            f"AAC_TEXT={record['text']}",
        ]


def run_once(program: str | list[str], text: str = "a dog barks") -> None:
    """One event, to the end of the command."""
    command = Command(StreamConfig(command=program))
    piece = command.of(heard(event(1, text)))
    assert piece is not None
    command.put(piece)
    command.end()
    command.close()


def test_no_shell_reads_what_was_heard(tmp_path: Path) -> None:
    text = "$(touch pwned) `touch pwned`; touch pwned & 'a' \"b\" \n --help"
    output = tmp_path / "out"
    code = f"import os, pathlib; pathlib.Path({str(output)!r}).write_text(os.environ['AAC_TEXT'])"
    run_once([sys.executable, "-c", code], text)
    assert output.read_text() == text
    run_once(["sh", "-c", f'printf %s "$AAC_TEXT" >{output}'], text)
    assert output.read_text() == text
    assert not Path("pwned").exists()


def test_the_password_of_the_broker_is_not_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AAC_STREAM_MQTT_PASSWORD", "open-sesame")
    run_once(script(tmp_path / "tell", f"env >{tmp_path}/out"))
    assert "AAC_TEXT" in (tmp_path / "out").read_text()
    assert "open-sesame" not in (tmp_path / "out").read_text()


def test_a_command_that_fails_is_one_line_until_it_works(tmp_path: Path, crying: Path) -> None:
    """Live; the loop goes on."""
    count = tmp_path / "count"
    program = script(tmp_path / "tell", f"echo >>{count}; test -e {tmp_path}/works || exit 7")
    arguments = ("--device", str(crying), *OFTEN, "--command", program, "--command-every-s", "0")
    with running(*arguments) as run:
        run.told(f"command {program}: ended with exit code 7; it is run again for what follows")
        until(lambda: count.stat().st_size >= 2, "another run")
        (tmp_path / "works").touch()
        run.told(f"command {program}: works again")
        run.end()
    assert run.process.returncode == 0
    assert times("exit code 7", run.err) == 1
    assert not times("Traceback", run.err)
    assert len(run.out) >= 3


def test_one_that_hangs_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(edge.sinks.command, "LIMIT_S", 0.5)
    pid = tmp_path / "pid"
    began = time.monotonic()
    with caplog.at_level("WARNING", "edge"):
        run_once(script(tmp_path / "hang", f"sleep 60 & echo $! >{pid}; wait"))
    assert 0.5 <= time.monotonic() - began < 5.0
    until(lambda: _state(int(pid.read_text())) in ("", "Z"), "the end of the child")


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0]
    except FileNotFoundError:
        return ""


def test_one_that_hangs_does_not_hold_up_the_end(tmp_path: Path, crying: Path) -> None:
    pid = tmp_path / "pid"
    program = script(tmp_path / "hang", f"echo $$ >{pid}.new; mv {pid}.new {pid}; exec sleep 60")
    with running("--device", str(crying), *OFTEN, "--command", program) as run:
        until(pid.exists, "the command")
        assert run.end() < 3.0
    assert run.process.returncode == 0, run.err
    until(lambda: _state(int(pid.read_text())) in ("", "Z"), "the end of the command")


def test_never_two_at_a_time_and_what_waits_too_long_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tmp_path / "count"
    program = script(
        tmp_path / "slow",
        f"mkdir {tmp_path}/alone || exit 1; echo $AAC_NUMBER >>{count}; "
        f"sleep 0.4; rmdir {tmp_path}/alone",
    )
    monkeypatch.setattr(edge.sinks.command, "LIMIT_S", 0.6)
    command = Command(StreamConfig(command=program, command_every_s=0.0))
    live = Heard("mic", None, tuple(event(n) for n in range(5)), datetime.now(timezone.utc))
    piece = command.of(live)
    assert piece is not None
    command.put(piece)
    command.end()
    command.close()
    assert count.read_text().split() in (["0", "1"], ["0"])
    assert not os.path.exists(tmp_path / "alone")
