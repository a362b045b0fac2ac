"""Some 10,000 damaged inputs: each gives what can be read and, at most, one line of an error.

The inputs are drawn from fixed seeds, so every run of the tests tries the same ones.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import string
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.audio.file import FileSource
from edge.config import StreamConfig, build_config
from edge.errors import AacStreamError, ConfigError, OutputError
from edge.sinks.file_sink import FileSink
from edge.sinks.mqtt.sink import MqttSink
from edge.streaming.event_tracker import Event
from edge.streaming.results import WindowResult
from edge.urls import without_secrets
from tests.helpers import ROOT

RATE = 8000
FRAMES = RATE // 2
NOISE = np.random.default_rng(1).normal(0.0, 0.1, FRAMES).astype(np.float32)
CONTAINERS: dict[str, dict[str, str]] = {
    "wav": {},
    "w64": {},
    "rf64": {"format": "RF64"},
    "aiff": {},
    "au": {},
    "caf": {},
    "flac": {},
    "ogg": {},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "mp3": {},
}
PCM = ("wav", "w64", "rf64", "aiff", "au", "caf")  # A cut loses the frames behind it and no other.
FLIPS = 400  # Damaged headers of each container.
HEADER = 256  # Bytes in which a header is damaged.

fuzzed = settings(
    max_examples=1000,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def check_line(message: str) -> None:
    """Check that an error message is one line that says something."""
    assert message.strip()
    assert "\n" not in message


def frames_of(path: Path, data: bytes) -> int:
    """Return the number of frames that are read of a file that holds `data`.

    Any error but ours fails the test, as does one that is not a line.
    """
    path.write_bytes(data)
    os.utime(path, (0, 0))  # Nobody writes it any more.
    frames = 0
    try:
        source = FileSource(path, fast=True)
    except AacStreamError as error:
        check_line(str(error))
        return 0
    try:
        for block in source.blocks():
            assert np.isfinite(block.samples).all()
            frames += len(block.samples)
    except AacStreamError as error:
        check_line(str(error))
    finally:
        source.close()
    return frames


@pytest.fixture
def no_ffmpeg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide ffmpeg: a process for each of thousands of files would take minutes."""
    monkeypatch.setenv("PATH", str(tmp_path))


def made(kind: str, folder: Path) -> bytes:
    path = folder / f"made.{kind}"
    soundfile.write(path, NOISE, RATE, **CONTAINERS[kind])
    return path.read_bytes()


@pytest.mark.usefixtures("no_ffmpeg")
@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_file_that_is_cut_at_any_place_gives_what_is_before(tmp_path: Path, kind: str) -> None:
    whole = made(kind, tmp_path)
    before = 0
    for percent in range(101):
        size = len(whole) * percent // 100
        frames = frames_of(tmp_path / f"cut.{kind}", whole[:size])
        if kind in PCM:
            header = len(whole) - 2 * FRAMES
            assert frames == pytest.approx(max(0, (size - header) // 2), abs=24), percent
        before = max(before, frames)
    assert before >= 0.98 * FRAMES


@pytest.mark.usefixtures("no_ffmpeg")
@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_damaged_header_gives_audio_or_one_line(tmp_path: Path, kind: str) -> None:
    whole = made(kind, tmp_path)
    rng = np.random.default_rng(2)
    for _ in range(FLIPS):
        data = bytearray(whole)
        for place in rng.integers(0, min(HEADER, len(data)), int(rng.integers(1, 5))):
            data[place] = int(rng.integers(256))
        # What a header claims takes no more memory and time than what the file holds.
        assert frames_of(tmp_path / f"flip.{kind}", bytes(data)) < 200 * FRAMES


@pytest.mark.usefixtures("no_ffmpeg")
def test_random_bytes_behind_any_magic_number_are_one_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    starts = [
        b"RIFF\x24\0\0\0WAVE",
        b"fLaC",
        b"OggS",
        b"ID3",
        b"\xff\xfb",
        b"FORM",
        b".snd",
        b"caff",
    ]
    for number in range(400):
        tail = rng.bytes(int(rng.integers(0, 2000)))
        frames_of(tmp_path / "random.wav", starts[number % len(starts)] + tail)


def config_of(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        build_config(path, {})
    except ConfigError as error:
        check_line(str(error).removeprefix(f"{path}"))


SHIPPED = (ROOT / "config.yaml").read_text(encoding="utf-8")


@fuzzed
@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
)
def test_a_settings_file_of_anything_is_settings_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    config_of(tmp_path_factory.getbasetemp() / "anything.yaml", data)


@fuzzed
@given(st.integers(0, len(SHIPPED) - 1), st.text(max_size=6), st.integers(0, 20))
def test_the_shipped_settings_changed_anywhere_are_settings_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, place: int, text: str, removed: int
) -> None:
    changed = SHIPPED[:place] + text + SHIPPED[place + removed :]
    path = tmp_path_factory.getbasetemp() / "changed.yaml"
    config_of(path, changed.encode("utf-8", "replace"))


@fuzzed
@given(st.binary(max_size=400), st.sampled_from(["text", "jsonl", "events"]))
def test_no_byte_of_a_foreign_file_is_changed(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, form: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "foreign.out"
    path.write_bytes(data)
    try:
        FileSink(StreamConfig(), form, str(path)).close()
    except OutputError as error:
        check_line(str(error))
    assert path.read_bytes() == data


SECRET = st.text(
    string.ascii_letters + string.digits + "@/:!$&'()*+,;=-._~%", min_size=4, max_size=20
)


@fuzzed
@given(SECRET, st.sampled_from(["rtsp", "http", "https", "mqtt", "rtmp"]), st.booleans())
def test_no_password_of_a_url_is_shown(secret: str, scheme: str, as_query: bool) -> None:
    secret = f"Xq7{secret}"  # Longer than anything that the rest of the message holds.
    place = f"camera.local/cam?pwd={secret}" if as_query else f"admin:{secret}@camera.local/live"
    said = without_secrets(f"{scheme}://{place}: cannot be opened (Connection refused)")
    assert secret not in said
    assert "Xq7" not in said


def test_a_broker_that_sends_random_bytes_neither_ends_nor_blocks_the_sink(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pytest.importorskip("paho.mqtt", reason="type: pip install 'aac-stream[mqtt]'")
    rng = np.random.default_rng(4)
    answered = threading.Semaphore(0)
    with socket.create_server(("127.0.0.1", 0)) as server, caplog.at_level(logging.DEBUG):

        def answer() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:  # The test has ended.
                    return
                with connection:
                    connection.sendall(rng.bytes(int(rng.integers(1, 200))))
                answered.release()

        threading.Thread(target=answer, daemon=True).start()
        for number in range(8):
            sink = MqttSink(StreamConfig(mqtt=f"mqtt://127.0.0.1:{server.getsockname()[1]}"))
            event = Event(number, 0.0, 1.0, "a dog barks", 0.8, True)
            assert sink.of(WindowResult("mic", None, (event,))) is not None
            assert answered.acquire(timeout=60.0)
            sink.close()
            sink.close()
        server.shutdown(socket.SHUT_RDWR)
    assert "Traceback" not in caplog.text


def test_events_of_any_text_are_lines_of_json() -> None:
    rng = np.random.default_rng(5)
    for _ in range(500):
        text = "".join(chr(int(c)) for c in rng.integers(1, 0xD7FF, 12))
        record = WindowResult(text, None).record(Event(1, 0.0, 1.0, text, 0.8, True))
        line = json.dumps(record)
        assert "\n" not in line
        assert json.loads(line)["text"] == text
