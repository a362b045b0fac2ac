"""The settings of a run, from a YAML file and the command line."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from edge.device_setting import devices_of
from edge.errors import ConfigError
from edge.inference.backends import RUNTIMES
from edge.paths import expand_user
from edge.schema import check_type, shown
from edge.sinks.mqtt.broker import broker_of
from edge.sinks.targets import SUBTITLES, check_outputs, targets_of
from edge.web.address import address_of
from edge.yaml_file import Entry, read_entries

BACKENDS = tuple(RUNTIMES)
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True)
class StreamConfig:
    """The settings of a run.

    `config.yaml` at the root of the repository lists the defaults.

    Raises
    ------
    ConfigError
        A value has the wrong type, is out of range, or does not fit another value.
    """

    device: str | list[str] = "mic"  # One audio source or several, in the syntax of `devices_of`.
    channel: int | None = None  # The channel to caption, from 1; None is the mix of all channels.
    rate: int = 16_000  # Sample rate in Hz of raw PCM on standard input.
    channels: int = 1  # Number of channels of raw PCM on standard input.
    fast: bool = False  # Files and standard input are read as fast as possible.
    window_s: float = 5.0  # Window length in seconds.
    hop_s: float = 1.0  # Seconds from one window to the next.
    quiet_db: float = -65.0  # dB re full scale; a window whose loud parts are below is quiet.
    # Level in dB by which a sound must exceed the background; 0 captions steady sounds too.
    novelty_db: float = 17.0
    min_confidence: float = 0.42  # Captions with a lower confidence are not shown.
    format: str = "text"  # The format of `output`.
    output: str | None = None  # The file to append captions to; None is standard output.
    also: list[str] = field(default_factory=list)  # More files, for example "srt:party.srt".
    mqtt: str | None = None  # URL of the MQTT broker that events are sent to.
    mqtt_password_file: str | None = None  # File with the broker's password in its first line.
    command: str | list[str] | None = None  # The command to run when an event opens.
    command_every_s: float = 10.0  # Minimum seconds between two runs for the same sound.
    keep_audio: float = 0.0  # Seconds of audio to save around each event; 0 saves no audio.
    keep_folder: str = "kept"  # Folder of the saved audio.
    keep_max_mb: float | None = None  # Maximum size in MB of all clips; the oldest are removed.
    keep_days: float | None = None  # Clips that are older than this number of days are removed.
    serve: str | None = None  # HOST:PORT of the live page; None serves no page.
    bundle: str | None = None  # Folder of another model bundle; None is the built-in one.
    backend: str = "onnx"  # Inference runtime.
    threads: int = 1  # Number of threads of the model.
    beam: int | None = None  # Beam width; None is the value in the bundle.
    log_level: str = "info"  # Minimum level of log messages.

    def __post_init__(self) -> None:
        for one in fields(self):
            try:
                check_type(one.name, str(one.type), getattr(self, one.name))
            except TypeError as error:
                raise ConfigError(str(error)) from None
            _check_text(one.name, getattr(self, one.name))
        self._expand_paths()
        devices_of(self.device)
        _check_range("rate", self.rate, 1000, 768_000)
        _check_range("channels", self.channels, 1, 64)
        _check_range("window_s", self.window_s, 1.0, 30.0)
        _check_range("hop_s", self.hop_s, 0.1, self.window_s)
        _check_range("quiet_db", self.quiet_db, -200.0, 0.0)
        _check_range("novelty_db", self.novelty_db, 0.0, 100.0)
        _check_range("min_confidence", self.min_confidence, 0.0, 1.0)
        _check_range("command_every_s", self.command_every_s, 0.0, 86_400.0)
        _check_range("keep_audio", self.keep_audio, 0.0, 600.0)
        _check_range("threads", self.threads, 1, 256)
        if self.keep_max_mb is not None:
            _check_range("keep_max_mb", self.keep_max_mb, 1.0, 1e9)
        if self.keep_days is not None:
            _check_range("keep_days", self.keep_days, 0.01, 36_500.0)
        if self.channel is not None:
            _check_range("channel", self.channel, 1, 64)
        if self.beam is not None:
            _check_range("beam", self.beam, 1, 64)
        for target in targets_of(self.format, self.output, self.also):
            if target.format in SUBTITLES and len(devices_of(self.device)) > 1:
                raise ConfigError(f"{target.setting} is of one device, and there are several")
        _check_mqtt(self.mqtt, self.mqtt_password_file)
        if self.serve is not None:
            address_of(self.serve)
        _check_choice("backend", self.backend, BACKENDS)
        _check_choice("log_level", self.log_level, LOG_LEVELS)

    def _expand_paths(self) -> None:
        """Replace a leading `~` in every setting that names a file or a folder."""
        for name in ("output", "bundle", "keep_folder", "mqtt_password_file"):
            path = getattr(self, name)
            if path is not None:
                object.__setattr__(self, name, expand_user(name, path))
        object.__setattr__(self, "also", [_expand_after(":", "also", one) for one in self.also])
        if isinstance(self.device, str):
            device: str | list[str] = _expand_after("=", "device", self.device)
        else:
            device = [_expand_after("=", "device", one) for one in self.device]
        object.__setattr__(self, "device", device)


def _expand_after(mark: str, setting: str, text: str) -> str:
    """Expand `~` at the start of `text` or after the first `mark`, as in `srt:~/party.srt`."""
    before, found, path = text.partition(mark)
    if found and path.startswith("~") and not text.startswith("~"):
        return before + found + expand_user(setting, path)
    return expand_user(setting, text)


def _check_text(name: str, value: object) -> None:
    """Raise ConfigError if `value` holds characters that file names and commands cannot hold."""
    for text in value if isinstance(value, list) else [value]:
        if not isinstance(text, str):
            continue
        try:
            wrong = b"\0" in os.fsencode(text)
        except UnicodeEncodeError:
            wrong = True
        if wrong:
            raise ConfigError(f"{name}: {shown(text)} holds a character that is not allowed")


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # A comparison with NaN is False, so NaN is refused too.
        # `shown` shortens an integer, which may have very many digits.
        given = f"{value:g}" if isinstance(value, float) else shown(value)
        raise ConfigError(f"{name}: {given} is not between {low:g} and {high:g}")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"{name}: {shown(value)} is not one of {', '.join(choices)}")


def _check_mqtt(url: str | None, password_file: str | None) -> None:
    if url is not None and broker_of(url).user is None and password_file is not None:
        raise ConfigError("mqtt: a password needs a user, as mqtt://user@host")


def read_config(path: Path) -> dict[str, Any]:
    """Return the settings in the YAML file `path`.

    Raises
    ------
    ConfigError
        The file cannot be read, is not a mapping, has an unknown key, or has true or false where
        text is expected.
    """
    known = {field.name: str(field.type) for field in fields(StreamConfig)}
    values: dict[str, Any] = {}
    for key, entry in read_entries(path, known).items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise ConfigError(f"{path}: unknown key {shown(key)}; {hint} (line {entry.line})")
        if known[key].startswith("str") and isinstance(entry.value, bool):
            raise ConfigError(
                f"{path}, line {entry.line}: {key}: YAML reads {entry.text or 'this'} as true or "
                f"false; put text in quotes, as {key}: '{entry.text or 'text'}', or write null"
            )
        values[key] = _text(entry) if key in ("device", "serve") else entry.value
    return values


def _text(entry: Entry) -> object:
    """Return the value of `entry`, with integers as text.

    YAML reads a device index or a port as an integer.
    """
    if type(entry.value) is int and entry.text is not None:
        return entry.text
    if isinstance(entry.value, list):
        return [shown(one) if type(one) is int else one for one in entry.value]
    return entry.value


def build_config(path: Path | None, overrides: Mapping[str, Any]) -> StreamConfig:
    """Return the defaults, changed by the file `path` and then by `overrides`.

    Parameters
    ----------
    path
        The YAML file, or None.
    overrides
        Settings of the command line.

    Raises
    ------
    ConfigError
        The file cannot be read, or a setting is wrong.
    """
    values = read_config(path) if path else {}
    try:
        config = StreamConfig(**values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    config = replace(config, **overrides)
    check_outputs(config, path)
    return config
