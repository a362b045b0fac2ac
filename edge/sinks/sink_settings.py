"""Which sinks the settings ask for, and which settings each of them cannot change while open."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from edge.config import StreamConfig
from edge.device_setting import devices_of
from edge.sinks.base import Sink
from edge.sinks.clip_recorder import ClipRecorder
from edge.sinks.command import CommandSink
from edge.sinks.file_sink import FileSink
from edge.sinks.targets import targets_of
from edge.sinks.terminal import TerminalSink, is_live
from edge.streaming.device_manager import DeviceManager
from edge.web.address import address_of


@dataclass(frozen=True)
class WantedSink:
    """A sink that the settings ask for. The same one serves whatever is equal after a reload."""

    kind: str
    settings: tuple[object, ...]  # That a new sink is opened for; others change in place.
    open: Callable[[], Sink[Any]] = field(compare=False)  # Raises OutputError.
    port: int = field(default=0, compare=False)  # That it must have; 0 is none or any.


def wanted_sinks(config: StreamConfig, hub: DeviceManager, sample_rate: int) -> list[WantedSink]:
    """Return the sinks that `config` asks for, of what `hub` hears at `sample_rate` Hz."""
    wanted = []
    for target in targets_of(config.format, config.output, config.also):
        if target.path is None and target.format == "text" and is_live():
            labelled = len(devices_of(config.device)) > 1
            wanted.append(WantedSink("terminal", (), partial(TerminalSink, hub.status, labelled)))
            continue
        path = None if target.path is None else os.path.abspath(target.path)
        opened = partial(FileSink, config, target.format, target.path)
        wanted.append(WantedSink("output", (target.format, path), opened))
    if config.mqtt is not None:
        settings = (config.mqtt, config.mqtt_password_file)
        wanted.append(WantedSink("mqtt", settings, partial(_open_mqtt, config)))
    if config.command:
        command = config.command if isinstance(config.command, str) else tuple(config.command)
        wanted.append(WantedSink("command", (command,), partial(CommandSink, config)))
    if config.keep_audio:
        kept = (config.keep_audio, config.keep_folder, sample_rate)
        keeper = partial(ClipRecorder, config, sample_rate, hub.lossless)
        wanted.append(WantedSink("keeper", kept, keeper))
    if config.serve is not None:
        page = partial(_open_page, config.serve, hub)
        port = address_of(config.serve).port
        wanted.append(WantedSink("page", (config.serve,), page, port))
    return wanted


def _open_mqtt(config: StreamConfig) -> Sink[Any]:
    from edge.sinks.mqtt.sink import MqttSink  # Without a broker, paho-mqtt need not be installed.

    return MqttSink(config)


def _open_page(serve: str, hub: DeviceManager) -> Sink[Any]:
    from edge.web.open_page import open_page  # It imports from this package.

    return open_page(serve, hub)
