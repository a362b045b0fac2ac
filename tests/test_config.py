"""Settings from the file and the command line; wrong ones are one clear line."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import StreamConfig, build_config
from edge.errors import ConfigError

ROOT = Path(__file__).parents[1]


def test_the_config_file_in_the_repo_lists_every_default() -> None:
    assert build_config(ROOT / "config.yaml", {}) == StreamConfig()
    text = (ROOT / "config.yaml").read_text()
    for name in StreamConfig.__dataclass_fields__:
        assert f"\n{name}:" in text


def test_the_command_line_overrides_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("hop_s: 2\nwindow_s: 4\ndevice: 3\n")
    config = build_config(path, {"hop_s": 0.5})
    assert (config.hop_s, config.window_s, config.device) == (0.5, 4, "3")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("windw_s: 3", "unknown key 'windw_s'; did you mean 'window_s'?"),
        ("colour: red", "unknown key 'colour'; known are device"),
        ("hop_s: fast", "hop_s: 'fast' is not a number"),
        ("hop_s: true", "hop_s: True is not a number"),
        ("threads: 1.5", "threads: 1.5 is not a whole number"),
        ("fast: 1", "fast: 1 is not true or false"),
        ("output: 3", "output: 3 is not text"),
        ("channel: 0", "channel: 0 is not between 1 and 64"),
        ("channel: left", "channel: 'left' is not a whole number"),
        ("window_s: 90", "window_s: 90 is not between 1 and 30"),
        ("window_s: .nan", "window_s: nan is not between"),
        ("window_s: 3\nhop_s: 4", "hop_s: 4 is not between 0.1 and 3"),
        ("format: xml", "format: 'xml' is not one of text, jsonl, events, srt, vtt"),
        (f"threads: 1{400 * '0'}", "is not between 1 and 256"),
        ("device: [mic", "line 1: is not valid YAML"),
        ("hop_s: 2026-13-01", "is not valid YAML"),
        (f"hop_s: {9999 * '['}", "is not valid YAML"),
        ("- mic", "is not a list of 'key: value' lines"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        build_config(path, {})
    message = str(caught.value)
    assert says in message
    assert message.startswith(str(path))
    assert "\n" not in message


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"hop_s: 1\n\nhop_s: 2\n", "line 3: 'hop_s' is set in line 1 already; remove one"),
        ("hop_s: 1\nlabel: é\n".encode("latin-1"), "line 2: is not UTF-8 text (byte 0xe9)"),
        ("hop_s: 1\n".encode("utf-16"), "line 1: is UTF-16 text; save it as UTF-8"),
        ("hop_s: 1\n".encode("utf-32"), "line 1: is UTF-32 text; save it as UTF-8"),
        ("hop_s: 1\n".encode("utf-16-le"), "line 1 holds the character U+0000"),
        (b"hop_s:2\n", "line 1: 'hop_s:2' needs a colon and a space after the key; write"),
        (b"window_s: 5\nhop_s:2\n", "line 2: 'hop_s:2' needs a colon and a space"),
        (b"hop_s:2\nwindow_s: 5\n", "line 1: 'hop_s:2' needs a colon and a space"),
        (b"window_s: 5\nhop_s = 2\n", "line 2: 'hop_s = 2' needs a colon and a space"),
        (b"min-confidence 0.4\n", "write 'min_confidence: 0.4'"),
        (b"also:\n\t- srt:x\n", "line 2: is not valid YAML: it holds a tab; use spaces"),
        (b"hop_s:\t2\n", "line 1: is not valid YAML: it holds a tab; use spaces"),
        (b"hop_s: 2\n  window_s: 3\n", "line 2: is not valid YAML: mapping values are not allowed"),
        (b"device: yes\n", "line 1: device: YAML reads yes as true or false; put text in quotes"),
        (b"hop_s: 1\noutput: off\n", "line 2: output: YAML reads off as true or false"),
        (b"hop_s: '2'\n", "hop_s: '2' is not a number; write 2 without quotes"),
        (b"hop_s: 1e-1\n", "hop_s: '1e-1' is not a number; write 0.1 without quotes"),
        (b"hop_s: 2,5\n", "hop_s: '2,5' is not a number; write 2.5 without quotes"),
        (b"rate: 16000.0\n", "rate: 16000.0 is not a whole number; write 16000 without quotes"),
        (b"output: 3\n", "output: 3 is not text; put it in quotes"),
        (b"output: 2026-01-02\n", "is not text"),
        (b"rate: .inf\n", "rate: inf is not a whole number"),
        (b"hop_s: .inf\n", "hop_s: inf is not between"),
        (b"hop_s: -.inf\n", "hop_s: -inf is not between"),
        (b"rate: 1" + 5000 * b"0", "line 1: rate: is not valid YAML: Exceeds the limit"),
        (b"rate: 0x1" + 9000 * b"0", "rate: a number of very many digits is not between"),
        (b"output: \"a\\0b\"\n", "output: 'a\\x00b' holds a character that is not allowed"),
        (b"output: \"a\\ud800b\"\n", "holds a character that is not allowed"),
        (b"? [a, b]\n: 1\n", "unknown key"),
        (b"null: 1\n", "unknown key 'null'"),
        (b"<<: {hop_s: 1}\n", "is not valid YAML"),
        (b"device: !!python/object:os.system x\n", "line 1: device: is not valid YAML"),
        (b"a: &a [1,1]\nb: &b [*a,*a]\ndevice: [*b,*b]\n", "unknown key 'a'"),
        (b"device: &a [*a]\n", "is not text, or a list of texts"),
        (b"---\nhop_s: 1\n---\nhop_s: 2\n", "line 3: is not valid YAML"),
        (b"#" * 100_001, "is larger than 100 kB"),
        (b"output: ~nosuchuser/x\n", "output: ~nosuchuser/x: there is no user 'nosuchuser'"),
    ],
)  # fmt: skip
def test_the_cause_and_the_line_are_named(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        build_config(path, {})
    message = str(caught.value)
    assert says in message
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < 800


def test_a_list_that_grows_without_end_is_one_short_line(tmp_path: Path) -> None:
    """Each line doubles the value of the last one: to print it whole would take for ever."""
    path = tmp_path / "c.yaml"
    nested = "&a0 [x, x]"
    for i in range(1, 40):
        nested = f"&a{i} [{nested}, *a{i - 1}]"
    path.write_text(f"output: {nested}\n")
    with pytest.raises(ConfigError, match="is not text") as caught:
        build_config(path, {})
    assert len(str(caught.value)) < 800


@given(st.binary(max_size=300) | st.text(alphabet="hop_s: -[]{}&*!'\"#|>\t\n0.1eyn~", max_size=80))
def test_no_file_whatever_is_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, data: bytes | str
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    with contextlib.suppress(ConfigError):
        build_config(path, {})


def test_a_byte_order_mark_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbfhop_s: 2\r\n")
    assert build_config(tmp_path / "c.yaml", {}).hop_s == 2


def test_a_number_that_names_a_device_is_kept_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("device: 007\nserve: 8642\n")
    config = build_config(tmp_path / "c.yaml", {})
    assert (config.device, config.serve) == ("007", "8642")


def test_a_tilde_is_the_home_folder_in_every_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "c.yaml"
    path.write_text(
        "device: [den=~/a.wav, ~/b.wav]\nformat: jsonl\noutput: ~/out\nalso: [events:~/e.jsonl]\n"
        "bundle: ~/model\nkeep_folder: ~/kept\nmqtt: mqtt://me@host\nmqtt_password_file: ~/p\n"
    )
    of_file = build_config(path, {})
    overrides = {name: getattr(of_file, name) for name in ("also", "device")}
    given = {"output": "~/out", "bundle": "~/model", "keep_folder": "~/kept"}
    for config in (of_file, build_config(None, {**overrides, **given})):
        assert config.device == [f"den={tmp_path}/a.wav", f"{tmp_path}/b.wav"]
        assert config.output == f"{tmp_path}/out"
        assert config.also == [f"events:{tmp_path}/e.jsonl"]
        assert (config.bundle, config.keep_folder) == (f"{tmp_path}/model", f"{tmp_path}/kept")
    assert of_file.mqtt_password_file == f"{tmp_path}/p"
    assert StreamConfig(device="~/x.wav").device == f"{tmp_path}/x.wav"
    assert StreamConfig(device="mic").device == "mic"


def test_a_home_that_is_not_known_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with pytest.raises(ConfigError, match="output: ~/x: the home folder is not known; set HOME"):
        StreamConfig(output="~/x")


def test_a_file_whose_name_begins_with_a_tilde_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~nosuchuser").write_text("")
    assert StreamConfig(output="~nosuchuser").output == str(tmp_path / "~nosuchuser")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        build_config(Path("nowhere.yaml"), {})


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("# nothing\n")
    assert build_config(tmp_path / "c.yaml", {}) == StreamConfig()
