"""Cameras: TCP before UDP, no video, and no secret where another user of the machine sees it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge.audio import ffmpeg
from edge.audio.ffmpeg import FfmpegSource
from edge.audio.ffmpeg_input import parse_url, redacted, rtsp_options, url_input
from edge.errors import AudioError
from tests.helpers import SAMPLE, aac_stream, the_one_line
from tests.rtsp import Camera
from tests.streams import RadioServer

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg")


@pytest.fixture
def camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Camera]]:
    # On a busy machine two starts of ffmpeg take longer than a camera is given.
    monkeypatch.setattr(ffmpeg, "START_S", 60.0)
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0.0, 0.1, 80_000), 16_000)
    cameras: list[Camera] = []

    def make(**given: bool) -> Camera:
        cameras.append(Camera(tmp_path / "a.wav", **given))
        return cameras[-1]

    yield make
    for one in cameras:
        one.close()


def first_second(source: FfmpegSource) -> int:
    frames = 0
    for block in source.blocks():
        frames += len(block.samples)
        if frames >= source.rate:
            break
    return frames


@needs_ffmpeg
@pytest.mark.parametrize("secret", ["", "?pwd=tok3n"])
@pytest.mark.parametrize(
    ("tcp", "asked"), [(True, ["audio TCP"]), (False, ["audio TCP", "audio UDP"])]
)
def test_a_camera_is_asked_for_audio_over_tcp_and_else_over_udp(
    camera: Callable[..., Camera], tcp: bool, asked: list[str], secret: str
) -> None:
    server = camera(tcp=tcp)
    source = FfmpegSource(server.url("live" + secret), fast=False, channel=None)
    try:
        assert (source.rate, first_second(source) >= 8000) == (8000, True)
        assert server.set_up() == asked
    finally:
        source.close()
        source.close()


@needs_ffmpeg
@pytest.mark.parametrize("where", ["bob:tok3n@{}/live", "bob:to%40k@{}/live", "{}/live?pwd=tok3n"])
def test_a_secret_is_on_no_command_line(camera: Callable[..., Camera], where: str) -> None:
    server = camera()
    url = "rtsp://" + where.format(f"127.0.0.1:{server.port}")
    source = FfmpegSource(url, fast=False, channel=None)
    try:
        given = b" ".join(
            path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if readable(path)
        )
        for secret in (b"tok3n", b"to%40k", b"bob:", f":{server.port}".encode()):
            assert secret not in given
        assert "tok3n" not in source.name
        assert first_second(source) >= 8000
    finally:
        source.close()


def readable(path: Path) -> bool:
    try:
        return bool(path.read_bytes()) and b"ffmpeg" in path.read_bytes()
    except OSError:  # it ended meanwhile
        return False


@needs_ffmpeg
def test_a_recording_behind_a_secret_url_ends_and_a_live_stream_is_waited_for(
    tmp_path: Path,
) -> None:
    soundfile.write(path := tmp_path / "a.wav", np.full(8000, 0.1), 8000)
    server = RadioServer(path, 1.0)
    try:
        source = FfmpegSource(server.url("recording?pwd=tok3n"), fast=True, channel=None)
        assert sum(len(block.samples) for block in source.blocks()) == 8000
        source.close()
    finally:
        server.close()
    server = RadioServer(SAMPLE, soundfile.info(SAMPLE).duration)
    try:
        source = FfmpegSource(server.url("live?pwd=tok3n"), fast=True, channel=None)
        assert not source._decoder.has_length
        source.close()
    finally:
        server.close()


@needs_ffmpeg
def test_what_ffmpeg_says_of_a_url_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg, "START_S", 20.0)
    for url in (
        "rtsp://admin:p@ss/wo?rd@127.0.0.1:9/live",
        "rtsp://admin:p@sswor/d@no-such-host.invalid/live",
        "http://127.0.0.1:9/v.cgi?user=admin&pwd=passwor",
        "http://admin:passwor@127.0.0.1:9/a'b",
    ):
        with pytest.raises(AudioError) as caught:
            FfmpegSource(url, fast=False, channel=None)
        said = str(caught.value)
        for secret in ("admin", "p@ss", "passwor", "sswor", "wo?rd"):
            assert secret not in said, said


@needs_ffmpeg
def test_a_camera_that_is_off_is_one_line() -> None:
    done = aac_stream("--device", "rtsp://admin:tok3n@127.0.0.1:9/live")
    line = the_one_line(done)
    assert "rtsp://127.0.0.1:9/live: cannot be read as audio (" in line
    assert "refused" in line
    assert "tok3n" not in done.stderr


@pytest.mark.parametrize(
    ("url", "user", "rest"),
    [
        ("rtsp://camera/live", "", "camera/live"),
        ("rtsp://a:b@camera/live", "a:b", "camera/live"),
        ("rtsp://admin:p@ss/word@camera/live", "admin:p@ss/word", "camera/live"),
        ("rtsp://admin:pa/ss@camera:554/live", "admin:pa/ss", "camera:554/live"),
        ("https://radio.example/@handle", "", "radio.example/@handle"),
        ("http://10.0.0.5/v.cgi?mail=a@b", "", "10.0.0.5/v.cgi?mail=a@b"),
        ("http://[fe80::1]:80/live", "", "[fe80::1]:80/live"),
    ],
)
def test_the_user_ends_at_the_last_at_sign(url: str, user: str, rest: str) -> None:
    parts = parse_url(url)
    assert (parts.user, parts.rest) == (user, rest)


def test_a_password_is_quoted_for_ffmpeg() -> None:
    assert parse_url("rtsp://admin:p@ss/w#d%21@camera/1").quoted() == (
        "rtsp://admin:p%40ss%2Fw%23d%21@camera/1"
    )
    given = url_input("http://a:it's@radio/1", {"rtsp_transport": "tcp"})
    assert b"file 'http://a:it'\\''s@radio/1'\noption rtsp_transport tcp\n" in given.script
    assert not any("it's" in argument for argument in given.arguments)


def test_messages_lose_what_is_secret() -> None:
    url = "rtsp://admin:p@ss/word@camera/live?key=tok3n"
    said = redacted(f"{url}: Failed to resolve hostname ss: admin, tok3n, p%40ss/word", url)
    for secret in ("admin", "tok3n", "p%40ss", "word"):
        assert secret not in said


def test_only_rtsp_has_a_transport() -> None:
    assert rtsp_options("http://radio/live") == [{}]
    first, second, *_ = rtsp_options("RTSP://camera/live")
    assert first == {"rtsp_transport": "tcp", "allowed_media_types": "audio"}
    assert second == {"rtsp_transport": "udp", "allowed_media_types": "audio"}
