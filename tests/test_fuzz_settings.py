"""Random settings, output files and URLs: one line at most, no foreign byte changed, no secret."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from edge.config import StreamConfig, build_config
from edge.device_setting import devices_of, printable, without_secrets
from edge.errors import AacStreamError, ConfigError, OutputError
from edge.sinks.file_sink import FileSink
from edge.sinks.formats import make_format
from edge.sinks.mqtt.broker import broker_of
from edge.streaming.event_tracker import Event
from edge.streaming.pipeline import Caption
from edge.streaming.results import WindowResult
from edge.web.address import address_of
from tests.helpers import ROOT

# The same examples everywhere; no example has a time limit, for the machine may be busy.
FUZZ = settings(
    max_examples=600,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
SHIPPED = (ROOT / "config.yaml").read_text(encoding="utf-8").splitlines()
KEYS = [line.partition(":")[0] for line in SHIPPED if line[:1].isalpha()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples."""
    return tmp_path_factory.mktemp("fuzzed")


def one_line(error: AacStreamError) -> None:
    """Check that the message of `error` is one line that a terminal can show."""
    text = str(error)
    assert 0 < len(text) < 1500
    assert is_line(text), text


def is_line(text: str) -> bool:
    return not {unicodedata.category(c) for c in text} & {"Cc", "Cs", "Zl", "Zp"}


def built(path: Path, data: bytes) -> None:
    """Read settings; any exception but ConfigError fails the test."""
    path.write_bytes(data)
    try:
        assert isinstance(build_config(path, {}), StreamConfig)
    except ConfigError as error:
        one_line(error)


# --- settings

YAML = st.text(st.characters(codec="utf-8"), max_size=30)
ODD = """{a: 1}|[1, 2|[]|.nan|1e999|-.inf|2024-01-01|0x1f|0o17|1:30|~|'a|"\\x00"|!!binary aGk=
!!python/name:os.system|*a|&a [*a]|?|-1|yes|mqtt://[::|mqtt://h:99999|srt:|srt:x|:0|[::1]:x|http://[
rtsp://a:b@c|~nosuchuser/x|=|a=|=b|[a=1, a=2]|[-, -]|!!set {a}|!!int x|[[[[|{{{{|%|@|`""".replace(
    "\n", "|"
)
VALUES = YAML | st.sampled_from([*re.split(r"[|\n]", ODD), "9" * 400, "\t", "| \n  x"])


@FUZZ
@given(st.lists(st.tuples(st.sampled_from(KEYS), VALUES), min_size=1, max_size=3))
def test_any_value_of_any_key_is_a_setting_or_one_line(
    folder: Path, entries: list[tuple[str, str]]
) -> None:
    lines = "".join(f"{key}: {value}\n" for key, value in entries)
    built(folder / "values.yaml", lines.encode())


@FUZZ
@given(st.data())
def test_any_change_of_the_shipped_settings_is_a_setting_or_one_line(
    folder: Path, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(SHIPPED) - 1))
    text = bytearray("\n".join(SHIPPED[start : start + 4]).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 3))
        text[at : at + cut] = data.draw(st.binary(max_size=3) | st.sampled_from(PIECES))
    built(folder / "changed.yaml", bytes(text))


PIECES = [
    b"\n",
    b": ",
    b"- ",
    b"[",
    b"]",
    b"{",
    b"'",
    b'"',
    b"#",
    b"&a ",
    b"*a",
    b"!!",
    b"\t",
    b"|",
]


@FUZZ
@given(st.text(max_size=120))
def test_any_text_is_settings_or_one_line(folder: Path, text: str) -> None:
    built(folder / "text.yaml", text.encode("utf-8", "surrogatepass"))


ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)


@FUZZ
@given(st.dictionaries(st.sampled_from(KEYS), ANY | st.lists(ANY, max_size=3), max_size=3))
def test_any_override_is_a_setting_or_one_line(overrides: dict[str, object]) -> None:
    """As programs give them that call the package."""
    try:
        build_config(None, overrides)
    except ConfigError as error:
        one_line(error)


@FUZZ
@given(st.text(max_size=40), st.sampled_from([devices_of, address_of, broker_of]))
def test_any_device_address_or_broker_is_one_or_one_line(
    text: str, parse: Callable[[str], object]
) -> None:
    for given_text in (text, f"mqtt://{text}", f"{text}=mic", f"rtsp://{text}"):
        try:
            parse(given_text)
        except ConfigError as error:
            one_line(error)


# --- labels and secrets


@FUZZ
@given(st.text(max_size=80))
def test_any_label_is_one_line_or_refused(label: str) -> None:
    assert is_line(printable(label))
    try:
        (device,) = devices_of(f"{label}=mic")
    except ConfigError as error:
        one_line(error)
    else:
        assert device.label


SIGNS = "!$&'()*+,;=:@/?#%[]~^|\\\"<>{}`.-_"
SECRETS = st.text(st.sampled_from(SIGNS) | st.characters(codec="utf-8", categories=["L", "N"]))
URLS = [
    "rtsp://admin:{}@camera/live",
    "rtsp://admin:{}@10.0.0.5:554/Streaming/Channels/101",
    "rtsps://admin:{}@[fe80::1]:322/1",
    "https://{}@radio.example/stream.mp3",
    "http://10.0.0.5/v.cgi?user=admin&pwd={}",
    "http://radio/live.mp3?token={}&x=1",
    "rtsp://nvr/user=admin_password={}_channel=1.sdp",
    "http://tv:8080/live/john/{}/1.ts",
    "mqtt://me:{}@broker:1883/home",
    "http://radio/live#{}",
]


@settings(FUZZ, max_examples=1500)
@given(SECRETS.filter(lambda text: len(text) >= 4), st.sampled_from(URLS), st.booleans())
@example("hun?t@r2", URLS[0], False)
def test_no_part_of_a_password_is_left_in_a_message(secret: str, url: str, quoted: bool) -> None:
    shown_secret = quote(secret, safe="") if quoted else secret
    # A user that looks like a host cannot be told from one: https://example.org/@channel
    assume("//{}" not in url or not re.match(r"[\w-]+\.[\w.-]+[/?#]", shown_secret))
    whole = url.format(shown_secret)
    parts = {shown_secret[i : i + 4] for i in range(len(shown_secret) - 3)}
    parts = {part for part in parts if part not in url.format("***") + "://.../..."}
    assume(parts)
    shown = [without_secrets(text) for text in (whole, f"{whole}: no answer", f"a='{whole}', b")]
    try:
        shown += [device.label for device in devices_of(whole)]
    except ConfigError as error:
        one_line(error)
        shown.append(str(error))
    for text in shown:
        assert not any(part in text for part in parts), text


# --- output files

HEARD = WindowResult(
    "kitchen",
    Caption(0.0, 5.0, "caption", "a dog barks", 0.8, -20.0),
    (Event(1, 1.0, 2.0, "a dog barks", 0.8, open=True),),
)
LINES = {
    form: make_format(StreamConfig(), form).of(HEARD).encode()
    for form in ("text", "jsonl", "events")
}
FORMS = st.sampled_from(list(LINES))
JSON = st.dictionaries(st.sampled_from(["device", "at", "text", "name"]), ANY, max_size=3).map(
    lambda record: json.dumps(record).encode()
)
FOREIGN = (
    st.binary(min_size=1, max_size=60)
    | JSON
    | st.text(min_size=1).map(lambda t: t.encode("utf-8", "surrogatepass"))
)


def opened(path: Path, data: bytes, form: str) -> bytes | None:
    """Return the content after the file was opened as an output; None if that was refused."""
    path.write_bytes(data)
    try:
        FileSink(StreamConfig(), form, str(path)).close()
    except OutputError as error:
        one_line(error)
        assert path.read_bytes() == data
        return None
    return path.read_bytes()


@FUZZ
@given(FORMS, FOREIGN, st.sampled_from([b"", b"\n", bytes(9), b"\n" + bytes(9)]))
def test_a_foreign_file_is_never_changed(
    folder: Path, form: str, foreign: bytes, end: bytes
) -> None:
    assert opened(folder / "foreign", foreign + end, form) is None


@FUZZ
@given(FORMS, st.integers(1, 3), FOREIGN, FORMS)
def test_foreign_bytes_around_lines_of_ours_are_never_changed(
    folder: Path, form: str, count: int, foreign: bytes, other: str
) -> None:
    ours = count * LINES[form]
    for data in (
        foreign + b"\n" + ours,
        ours + foreign + b"\n",
        foreign + ours,
        LINES[other] + foreign,
    ):
        after = opened(folder / "mixed", data, form)
        if after is None or after == data:
            continue
        # Only the end of our own lines may change: half a record and zeros, or a newline is added.
        assert data.startswith(LINES[form])
        rest = data[len(after) :].rstrip(b"\0")
        if form == "text":
            assert after in (data + b"\n", data.rstrip(b"\0") + b"\n", data.rstrip(b"\0"))
        else:
            assert after == data + b"\n" or b'{"device": "'.startswith(rest[:12])


@FUZZ
@given(FORMS, st.integers(0, 3), st.data(), st.integers(0, 20))
def test_whole_lines_of_ours_are_kept_wherever_the_last_is_cut(
    folder: Path, form: str, count: int, data: st.DataObject, zeros: int
) -> None:
    line = LINES[form]
    cut = data.draw(st.integers(0, len(line)))
    after = opened(folder / "ours", count * line + line[:cut] + bytes(zeros), form)
    if after is None:  # Without a line before it, the beginning of a line may be anything.
        assert count == 0
    else:
        assert after.startswith(count * line)
        kept = after[count * len(line) :]
        assert kept in (b"", line, line[:cut], line[:cut] + b"\n")
