"""Several devices in one process: each has its name, and what becomes of one is its own affair."""

from __future__ import annotations

import json
import re
import signal
from itertools import pairwise
from pathlib import Path

import pytest
import soundfile

from edge.config import StreamConfig
from edge.device_setting import Device, devices_of
from edge.errors import ConfigError
from edge.sinks.mqtt.homeassistant import topics_of
from tests.helpers import SAMPLE, aac_stream, captions_of, the_one_line, times
from tests.pulse import SECOND_SINK, SECOND_SOURCE, PulseServer
from tests.running import Running, running, until


def part(path: Path, start_s: float, end_s: float) -> Path:
    """So much of the sample, in `path`."""
    rate = soundfile.info(SAMPLE).samplerate
    samples, _ = soundfile.read(SAMPLE, start=int(start_s * rate), stop=int(end_s * rate))
    soundfile.write(path, samples, rate)
    return path


def heard_by(run: Running, device: str, word: str) -> int:
    """In how many captions of `device` there is `word`."""
    captions = [c for c in captions_of(list(run.out)) if c["device"] == device]
    return sum(word in c["text"] for c in captions)


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("mic", [Device("mic", "mic")]),
        (["kitchen=3", "garden=webcam"], [Device("kitchen", "3"), Device("garden", "webcam")]),
        (
            ["rtsp://me:secret@cam/1?a=b"],
            [Device("cam", "rtsp://me:secret@cam/1?a=b")],
        ),
        (["yard=rtsp://cam/1?a=b"], [Device("yard", "rtsp://cam/1?a=b")]),
        (
            ["rtsp://cam/1", "http://cam/2?token=x", "cam 2=mic"],
            [
                Device("cam", "rtsp://cam/1"),
                Device("cam 3", "http://cam/2?token=x"),
                Device("cam 2", "mic"),
            ],
        ),
        (["Bob's room=1"], [Device("Bob's room", "1")]),
        (["R&D=1", "kitchen (left)=2"], [Device("R&D", "1"), Device("kitchen (left)", "2")]),
        (
            ["Café №1=1", "居間 👩\u200d🍳=2"],
            [Device("Café №1", "1"), Device("居間 👩\u200d🍳", "2")],
        ),
        (["/no/a=b.wav"], [Device("/no/a=b.wav", "/no/a=b.wav")]),
        (['up/down: "a+b#c\\d"=a=b'], [Device('up/down: "a+b#c\\d"', "a=b")]),
    ],
)
def test_a_device_may_have_a_name(setting: str | list[str], found: list[Device]) -> None:
    assert devices_of(setting) == found


def test_a_file_whose_name_has_an_equals_sign_is_a_file(tmp_path: Path) -> None:
    path = part(tmp_path / "a=b.wav", 0.0, 1.0)
    assert devices_of(str(path)) == [Device(str(path), str(path))]


def test_the_label_of_a_file_is_one_line_of_valid_unicode() -> None:
    (device,) = devices_of("a\nb\udce9.wav")
    assert device == Device("a\ufffdb\ufffd.wav", "a\nb\udce9.wav")


@pytest.mark.parametrize(
    ("device", "says"),
    [
        ([], "device: names none"),
        (["mic", "mic"], "two are called 'mic'; name them, as 'kitchen=3'"),
        (["a=-", "b=-"], r"standard input \('-'\) can be read once only"),
        (["mic", 3], "is not text, or a list of texts"),
        (["rtsp://cam/1", "rtsp://cam/1"], "rtsp://cam/1 is given twice; name them"),
        (["=3"], "'=3': no such file, nor a label .a label holds 1 to 64 characters, no '='"),
        (["a\nb=3"], "'a\ufffdb=3': no such file, nor a label"),
        (["a\u202eb=3"], "nor a label"),
        (["x" * 65 + "=3"], "nor a label"),
        (["kitchen="], "'kitchen=': names no device after '='"),
        (["rtsp://me:pass word@cam/1"], "^device: a URL with rtsp:// holds a space[^@]*$"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(device: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        StreamConfig(device=device)


def test_subtitles_are_of_one_device() -> None:
    arguments = ("--device", "a=mic", "--device", "b=mic", "--format", "srt")
    assert "is of one device" in the_one_line(aac_stream(*arguments))


def test_two_files_say_what_each_says_alone(tmp_path: Path) -> None:
    files = {"one": part(tmp_path / "1.wav", 0, 8), "two": part(tmp_path / "2.flac", 28, 40)}
    alone = {}
    for label, file in files.items():
        done = aac_stream("--device", f"{label}={file}", "--fast", "--format", "events")
        alone[label] = [json.loads(line) for line in done.stdout.splitlines()]
        assert alone[label]
    devices = [arg for label, file in files.items() for arg in ("--device", f"{label}={file}")]
    done = aac_stream(*devices, "--fast", "--format", "events")
    together = [json.loads(line) for line in done.stdout.splitlines()]
    for label in files:
        assert [event for event in together if event["device"] == label] == alone[label]
    text = aac_stream(*devices, "--fast").stdout.splitlines()
    assert text
    assert all("  one: " in line or "  two: " in line for line in text)


def test_one_that_is_damaged_is_told_and_the_other_goes_on(tmp_path: Path) -> None:
    good, bad = part(tmp_path / "good.wav", 0, 12), part(tmp_path / "bad.wav", 0, 6)
    bad.write_bytes(bad.read_bytes()[:-40_000])
    devices = ("--device", f"good={good}", "--device", f"bad={bad}")
    done = aac_stream(*devices, "--format", "jsonl")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if "incomplete" in line]
    assert "bad.wav: ends after" in line
    assert line.endswith("; the other devices go on")
    captions = [c for c in captions_of(done.stdout.splitlines()) if c["device"] == "good"]
    assert captions[-1]["end_s"] == pytest.approx(12.0, abs=0.6)


def test_one_that_is_not_there_is_told_before_any_listens(tmp_path: Path) -> None:
    done = aac_stream("--device", str(SAMPLE), "--device", str(tmp_path / "none.wav"))
    assert "none.wav: no such file" in the_one_line(done)
    assert len(done.stderr.splitlines()) == 1


def test_two_microphones_and_one_is_pulled_out(pulse: PulseServer, tmp_path: Path) -> None:
    rooster = part(tmp_path / "rooster.wav", 0, 6)
    baby = part(tmp_path / "baby.wav", 52, 60)
    devices = ("--device", "kitchen=pulse", "--device", "garden=second")
    try:
        with running("--format", "jsonl", *devices, env=pulse.env) as run:
            run.told("listening to", times=2)
            pulse.play(rooster)
            pulse.play(baby, SECOND_SINK)
            until(lambda: heard_by(run, "kitchen", "rooster") > 0, "the rooster in the kitchen")
            until(lambda: heard_by(run, "garden", "baby") > 0, "the baby in the garden")
            assert not heard_by(run, "kitchen", "baby")
            assert not heard_by(run, "garden", "rooster")
            pulse.unload_source(SECOND_SOURCE)
            assert "second" in run.told("gives no audio any more; waiting for it")
            cries = heard_by(run, "garden", "baby")
            pulse.load_source(SECOND_SOURCE)
            run.told("is back after")
            pulse.play(baby, SECOND_SINK)
            until(lambda: heard_by(run, "garden", "baby") > cries, "the baby again")
            run.end(signal.SIGINT)
            assert run.process.returncode == 0
    finally:
        pulse.hush()
        pulse.load_source(SECOND_SOURCE)
    assert times("waiting for it", run.err) == 1
    # The kitchen never paused: its windows follow each other without a gap.
    ends = [c["end_s"] for c in captions_of(run.out) if c["device"] == "kitchen"]
    assert max(b - a for a, b in pairwise(ends)) < 2.5


def test_a_device_comes_and_another_goes_by_a_reload(tmp_path: Path, long: Path) -> None:
    config, out = tmp_path / "c.yaml", tmp_path / "out.jsonl"
    settings = f"window_s: 1\nhop_s: 0.3\nformat: jsonl\noutput: {out}\n"

    def last(device: str) -> float:
        lines = out.read_text().splitlines() if out.exists() else []
        return max((c["end_s"] for c in captions_of(lines) if c["device"] == device), default=-1.0)

    config.write_text(f"device: [a={long}, b={long}]\n{settings}")
    with running("--config", str(config)) as run:
        until(lambda: last("a") > 0 and last("b") > 0)
        config.write_text(f"device: [a={long}, c={long}]\n{settings}")
        run.hup()
        run.told("device changed")
        gone = last("b")
        until(lambda: last("c") > gone, "captions of c, whose clock goes on from that of b")
        now = last("a")
        until(lambda: last("a") > now + 1.0)
        run.end()
        assert run.process.returncode == 0
    assert last("b") == gone


def test_every_sink_takes_what_people_call_rooms(tmp_path: Path) -> None:
    """Text, JSON, the environment of a command, file names and topics."""
    labels = ["Bob's room", "R&D", "kitchen (left)", "Café №1", '"#1" \\ +$HOME', "居間"]
    file = part(tmp_path / "1.wav", 0, 8)
    devices = [argument for label in labels for argument in ("--device", f"{label}={file}")]
    sinks = ("--also", f"events:{tmp_path / 'events'}", "--command", "printenv AAC_DEVICE")
    kept = ("--keep-audio", "1", "--keep-folder", str(tmp_path / "kept"))
    done = aac_stream(*devices, "--fast", *sinks, *kept)
    assert done.returncode == 0, done.stderr
    told = [line.split("  ")[1] for line in done.stdout.splitlines()]
    assert {line.rpartition(": ")[0] for line in told if line} == set(labels)
    events = captions_of((tmp_path / "events").read_text().splitlines())
    assert {event["device"] for event in events} == set(labels)
    # What a command prints goes through the log.
    assert set(labels) <= {line.removeprefix("aac-stream: ") for line in done.stderr.splitlines()}
    abouts = [json.loads(path.read_text()) for path in (tmp_path / "kept").glob("*.json")]
    assert {about["device"] for about in abouts} == set(labels)
    bases = [topics.base for topics in topics_of("p", labels).values()]
    assert len(set(bases)) == len(labels)
    assert all(re.fullmatch("p/[a-z0-9_-]+", base) for base in bases)
