"""No user, password, token or query of a URL is in labels, messages or logs."""

from __future__ import annotations

import logging
import sys

import pytest

import edge.log
from edge.device_setting import devices_of, without_secrets
from edge.urls import is_url
from tests.helpers import aac_stream

# URL, label, and what messages show of it.
URLS = [
    ("rtsp://camera/live", "camera", "rtsp://camera/live"),
    ("rtsp://me@camera:554/1", "camera", "rtsp://camera:554/1"),
    ("rtsp://admin:hunter2@camera/live", "camera", "rtsp://camera/live"),
    ("RTSP://admin:hunter2@Camera", "Camera", "RTSP://Camera"),
    ("rtsp://admin:hunter2@[fe80::1]:554/live", "fe80::1", "rtsp://[fe80::1]:554/live"),
    # Passwords that hold what has a meaning in URLs.
    ("rtsp://admin:hun@ter2@camera/live", "camera", "rtsp://camera/live"),
    ("rtsp://admin:hun/ter2@camera/live", "camera", "rtsp://camera/live"),
    ("rtsp://admin:hun@er/ter2@camera/live", "camera", "rtsp://camera/live"),
    ("rtsp://admin:2/hunter@camera/live", "camera", "rtsp://camera/live"),
    ("rtsp://admin:hun:ter2@camera/live", "camera", "rtsp://camera/live"),
    ("rtsp://admin:hun?ter2@camera/live", "rtsp", "rtsp://..."),
    ("rtsp://admin:hun#ter2@camera/live", "rtsp", "rtsp://..."),
    ("rtsp://admin:hun@er?ter2@camera/live", "rtsp", "rtsp://..."),
    ("rtsp://admin:2?hunter@camera/live", "rtsp", "rtsp://..."),
    ("https://hunter2?x@camera/live", "https", "https://..."),
    ("https://hunter2/?x@camera/live", "https", "https://..."),
    ("http://camera/v.cgi?pwd=hun@ter2", "http", "http://..."),
    ("http://[fe80::1]:80/v.cgi?pwd=hun@ter2", "fe80::1", "http://[fe80::1]"),
    ("rtsp://admin:hunter2", "rtsp", "rtsp://..."),
    # Queries, fragments.
    ("http://10.0.0.5/v.cgi?user=admin&pwd=hunter2", "10.0.0.5", "http://10.0.0.5/v.cgi"),
    ("http://10.0.0.5/v.cgi?pwd=hun@ter2", "10.0.0.5", "http://10.0.0.5"),
    ("http://me:hunter2@10.0.0.5/v.cgi?pwd=hunter2", "10.0.0.5", "http://10.0.0.5/v.cgi"),
    ("http://10.0.0.5?hunter2", "10.0.0.5", "http://10.0.0.5"),
    ("http://10.0.0.5/a#hunter2", "10.0.0.5", "http://10.0.0.5/a"),
    # Secrets in the path.
    ("rtsp://nvr/user=admin_password=hunter2_channel=1.sdp", "nvr", "rtsp://nvr/..."),
    ("rtsp://nvr/user/admin/password/hunter2", "nvr", "rtsp://nvr/..."),
    ("rtsp://nvr/admin:hunter2/ch1", "nvr", "rtsp://nvr/..."),
    ("rtsps://nvr:7441/aBcDeFgH12345678", "nvr", "rtsps://nvr:7441/..."),
    ("rtsp://nvr/3f2504e0-4f89-11d3-9a0c-0305e82c3301", "nvr", "rtsp://nvr/..."),
    ("rtmp://tv/app/a1b2-c3d4-e5f6-g7h8", "tv", "rtmp://tv/..."),
    ("http://tv:8080/live/john/hunter2/1.ts", "tv", "http://tv:8080/..."),
    ("http://tv:8080/john/hunter2/1.ts", "tv", "http://tv:8080/..."),
    ("http://radio/a%20b", "radio", "http://radio/..."),
    # Paths that tell cameras and stations apart.
    ("rtsp://nvr/Streaming/Channels/101", "nvr", "rtsp://nvr/Streaming/Channels/101"),
    ("http://cam/mjpg/video.cgi", "cam", "http://cam/mjpg/video.cgi"),
    ("https://www.example.org/@channel/live", "www.example.org", "https://www.example.org"),
]


@pytest.mark.parametrize(("url", "label", "shown"), URLS, ids=[url for url, _, _ in URLS])
def test_labels_and_messages_show_only_what_is_no_secret(url: str, label: str, shown: str) -> None:
    assert [device.label for device in devices_of(url)] == [label]
    assert [device.what for device in devices_of(url)] == [url]
    assert without_secrets(url) == shown
    assert without_secrets(f"{url}: no answer, '{url}', ({url})") == (
        f"{shown}: no answer, '{shown}', ({shown})"
    )
    assert without_secrets(repr([url, "x"])) == repr([shown, "x"])
    assert without_secrets(f"a={url}\nb={url}") == f"a={shown}\nb={shown}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "HTTP error 401 of /v.cgi?user=me&pwd=hunter2 (twice)",
            "HTTP error 401 of /v.cgi?... (twice)",
        ),
        ("rtsp:/me:hunter2@camera/1: no such file", "rtsp://camera/1: no such file"),
        ("rtsp://camera/1: mail me@home", "rtsp://camera/1: mail me@home"),
        ("mqtt://me:hunter2@broker:1883", "mqtt://broker:1883"),
        ("file:///home/me/a b@c=d.wav", "file:///home/me/a b@c=d.wav"),
        ("C:/Users/me@home/a.wav: no such file", "C:/Users/me@home/a.wav: no such file"),
        ("/home/me/10:30@home.wav; what now?", "/home/me/10:30@home.wav; what now?"),
        ("its link ends in /?token=...", "its link ends in /?token=..."),
        ("serving http://[fe80::1%eth0]:8642/", "serving http://[fe80::1%eth0]:8642/"),
        ("", ""),
    ],
)
def test_other_text_stays_as_it_is(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


def test_a_url_begins_with_a_scheme() -> None:
    assert is_url("rtsp://camera/1")
    assert is_url("HTTP://radio/live")
    assert not is_url("mic")
    assert not is_url("a/b://c")


def test_every_line_of_the_log_is_cleaned() -> None:
    package = logging.getLogger("edge")
    with edge.log.log_to_stderr():
        edge.log.set_level("debug")  # With tracebacks.
        (handler,) = package.handlers
        try:
            raise ValueError("rtsp://me:hunter2@camera/1")
        except ValueError:
            record = package.makeRecord(
                "edge", logging.ERROR, __file__, 1, "http://me:hunter2@a/%s", ("b",), sys.exc_info()
            )
        text = handler.format(record)
    assert "aac-stream: http://a/b" in text
    assert "ValueError: rtsp://camera/1" in text
    assert "hunter2" not in text


def test_a_run_never_says_a_password() -> None:
    """The settings, at level debug, and the error of a camera that is not there."""
    url = "http://me:hunter2@127.0.0.1:1/v.cgi?user=me&pwd=hunter2"
    done = aac_stream("--device", url, "--log-level", "debug", timeout=60.0)
    assert "hunter2" not in done.stdout + done.stderr
    assert "http://127.0.0.1:1/v.cgi" in done.stderr
