"""Settings from the file and the command line; wrong ones are one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

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


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        build_config(Path("nowhere.yaml"), {})


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("# nothing\n")
    assert build_config(tmp_path / "c.yaml", {}) == StreamConfig()
