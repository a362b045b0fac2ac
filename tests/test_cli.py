"""The real command line on the sample and on bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from tests.helpers import ROOT, SAMPLE, aac_stream, names, sample_events, the_one_line


@pytest.fixture(scope="module")
def captions() -> list[dict[str, object]]:
    done = aac_stream("--device", str(SAMPLE), "--fast", "--format", "jsonl")
    assert done.returncode == 0, done
    return [json.loads(line) for line in done.stdout.splitlines()]


def heard(captions: list[dict[str, object]], label: str, start_s: float, end_s: float) -> bool:
    """Whether a window that holds 2 s or more of [start_s, end_s] names `label`."""
    return any(
        min(float(str(c["end_s"])), end_s) - max(float(str(c["start_s"])), start_s) >= 2.0
        and names(str(c["text"]), label)
        for c in captions
    )


def test_sounds_of_the_sample_are_named_when_they_sound(captions: list[dict[str, object]]) -> None:
    events = sample_events()
    named = [e.label for e in events if heard(captions, e.label, e.start_s, e.end_s)]
    assert len(named) >= 0.7 * len(events), named


def test_windows_come_once_a_second_and_cover_the_sample(
    captions: list[dict[str, object]],
) -> None:
    duration = soundfile.info(SAMPLE).duration
    starts = [float(str(c["start_s"])) for c in captions]
    assert starts[:3] == [0.0, 1.0, 2.0]
    assert float(str(captions[-1]["end_s"])) == pytest.approx(duration, abs=0.6)
    for caption in captions:
        assert set(caption) == {
            *("device", "at", "start_s", "end_s", "state", "text", "confidence", "level_db")
        }
        assert (caption["state"] == "caption") == bool(caption["text"])


def test_text_tells_each_event_as_it_begins_and_no_window_twice() -> None:
    done = aac_stream("--device", str(SAMPLE), "--fast")
    lines = done.stdout.splitlines()
    said = [line.split("  ")[1] for line in lines if "[" in line]
    starts = [float(line[3:7]) + 60.0 * int(line[:2]) for line in lines]
    sounds = sample_events()
    assert len(said) <= 2 * len(sounds)  # of 71 windows
    for sound in sounds:
        near = [
            t for t, start in zip(said, starts, strict=True) if abs(start - sound.start_s) <= 3.0
        ]
        assert any(names(text, sound.label) for text in near), (sound, lines)
    assert "real-time factor" in done.stderr


def test_events_open_and_close_and_know_when() -> None:
    done = aac_stream("--device", str(SAMPLE), "--fast", "--format", "events")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {tuple(event) for event in events} == {
        ("device", "at", "number", "start_s", "end_s", "text", "confidence", "open")
    }
    closed = [event for event in events if not event["open"]]
    assert {e["number"] for e in events if e["open"]} == {e["number"] for e in closed}
    named = [
        sound
        for sound in sample_events()
        for event in closed
        if names(event["text"], sound.label) and abs(event["end_s"] - sound.end_s) <= 3.0
    ]
    assert len(named) >= 7


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles_are_a_file_that_others_read(tmp_path: Path, form: str) -> None:
    out = tmp_path / f"out.{form}"
    arguments = ("--device", str(SAMPLE), "--fast", "--format", form, "--output", str(out))
    assert aac_stream(*arguments).returncode == 0
    text = out.read_text(encoding="utf-8")
    assert text.startswith(
        "1\n00:00:00,000 --> " if form == "srt" else "WEBVTT\n\n00:00:00.000 --> "
    )
    starts = [line.split(" --> ")[0] for line in text.splitlines() if " --> " in line]
    assert starts == sorted(starts)
    assert "a baby cries" in text
    line = the_one_line(aac_stream(*arguments))
    assert str(out) in line
    assert "holds something already" in line
    assert out.read_text(encoding="utf-8") == text


def test_standard_input_says_what_the_file_says(
    captions: list[dict[str, object]],
) -> None:
    samples, rate = soundfile.read(SAMPLE, dtype="float32")
    pcm = (np.clip(samples, -1, 1) * 32767).astype("<i2")
    stereo = np.stack([pcm, pcm], axis=1)
    done = aac_stream(
        *("--device", "-", "--rate", str(rate), "--channels", "2", "--fast", "--format", "jsonl"),
        stdin=stereo.tobytes(),
    )
    texts = [json.loads(line)["text"] for line in done.stdout.splitlines()]
    assert len(texts) == len(captions)
    same = sum(a == c["text"] for a, c in zip(texts, captions, strict=True))
    assert same >= 0.85 * len(texts)  # rounding to 16 bits turns close calls


def test_real_time_says_the_same_as_fast(captions: list[dict[str, object]], tmp_path: Path) -> None:
    path = tmp_path / "start.wav"
    samples, rate = soundfile.read(SAMPLE, stop=32_000 * 8, dtype="float32")
    soundfile.write(path, samples, rate, subtype="FLOAT")
    began = time.monotonic()
    done = aac_stream("--device", str(path), "--format", "jsonl")
    assert time.monotonic() - began >= 8.0
    live = {json.loads(line)["start_s"]: json.loads(line) for line in done.stdout.splitlines()}
    assert live
    offline = {c["start_s"]: c for c in captions}
    for start in set(live) & set(offline) - {max(live)}:
        assert live[start]["text"] == offline[start]["text"]


def test_ctrl_c_ends_cleanly() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", "--device", str(SAMPLE), "--format", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    for line in [first, *out.splitlines()]:
        json.loads(line)
    assert "Traceback" not in err
    assert "windows, real-time factor" in err


def test_a_reader_that_goes_away_ends_the_run_quietly() -> None:
    command = f"{sys.executable} -m edge --device {SAMPLE} --fast --format jsonl | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_output_is_appended_line_by_line(tmp_path: Path) -> None:
    out = tmp_path / "captions.jsonl"
    arguments = ("--device", str(short_clip(tmp_path)), "--fast", "--format", "jsonl")
    for _ in range(2):
        done = aac_stream(*arguments, "--output", str(out))
        assert done.returncode == 0
        assert done.stdout == ""
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) > 1
    assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]


def test_the_configuration_file_is_used_and_overridden(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(f"device: {short_clip(tmp_path)}\nformat: jsonl\nfast: true\nhop_s: 1\n")
    few = aac_stream("--config", str(config)).stdout.splitlines()
    many = aac_stream("--config", str(config), "--hop-s", "0.5").stdout.splitlines()
    assert 1 < len(few) < len(many)


def short_clip(folder: Path) -> Path:
    samples, rate = soundfile.read(SAMPLE, stop=32_000 * 7, dtype="float32")
    soundfile.write(folder / "clip.wav", samples, rate)
    return folder / "clip.wav"


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (192_000, 1), (16_000, 8)])
def test_odd_rates_and_channels_are_captioned(tmp_path: Path, rate: int, channels: int) -> None:
    samples, own = soundfile.read(SAMPLE, stop=32_000 * 7, dtype="float32")
    mono = soxr.resample(samples, own, rate)
    path = tmp_path / "odd.wav"
    soundfile.write(path, np.repeat(mono[:, None], channels, axis=1), rate)
    done = aac_stream("--device", str(path), "--fast", "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    assert any(json.loads(line)["text"] for line in done.stdout.splitlines())
    assert ("above 4 kHz are missing" in done.stderr) == (rate == 8000)


def test_bad_input_is_one_line_and_leaves_no_output(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no audio at all")
    out = tmp_path / "out.txt"
    for arguments, says in [
        (("--device", str(tmp_path / "bad.wav")), "bad.wav: cannot be read as audio"),
        (("--device", str(tmp_path / "none.wav")), "none.wav: no such file"),
        (("--channel", "2", "--device", str(SAMPLE)), "sample.ogg: has 1 channel, so there is no"),
        (("--hop-s", "9", "--device", str(SAMPLE)), "hop_s: 9 is not between 0.1 and 5"),
        (("--config", str(tmp_path / "none.yaml")), "none.yaml: cannot be read"),
    ]:
        done = aac_stream(*arguments, "--output", str(out))
        assert says in the_one_line(done)
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert not out.exists()


def test_no_password_is_told_at_any_level() -> None:
    camera = "rtsp://me:secret@camera/1"
    done = aac_stream("--device", camera, "--bundle", "/nowhere", "--log-level", "debug")
    assert "rtsp://camera/1" in done.stderr
    assert "secret" not in done.stderr


def test_an_unwritable_output_is_told_before_listening(tmp_path: Path) -> None:
    done = aac_stream("--device", str(SAMPLE), "--output", str(tmp_path / "no" / "out.txt"))
    assert "out.txt: cannot be written" in the_one_line(done)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_full_disk_is_one_line() -> None:
    done = aac_stream("--device", str(SAMPLE), "--fast", "--output", "/dev/full")
    assert "/dev/full: cannot be written (No space left on device)" in the_one_line(done)


def test_a_file_with_a_damaged_end_keeps_what_was_heard(tmp_path: Path) -> None:
    samples, rate = soundfile.read(SAMPLE, stop=32_000 * 12, dtype="float32")
    samples[-1000] = np.nan
    path = tmp_path / "nan.wav"
    soundfile.write(path, samples, rate, subtype="FLOAT")
    done = aac_stream("--device", str(path), "--fast", "--format", "jsonl")
    assert "nan.wav: holds values that are no numbers (NaN) at 11.97 s" in the_one_line(done)
    assert len([json.loads(line) for line in done.stdout.splitlines()]) >= 5
