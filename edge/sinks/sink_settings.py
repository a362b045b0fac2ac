"""The sinks that the settings ask for, and the settings that each cannot change while open."""

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
    """A sink that the settings ask for. After a reload, an equal one keeps its open sink."""

    kind: str
    settings: tuple[object, ...]  # A change of these opens a new sink; others change in place.
    open: Callable[[], Sink[Any]] = field(compare=False)  # Raises OutputError.
    port: int = field(default=0, compare=False)  # Required TCP port; 0 means none or any.


def wanted_sinks(
    config: StreamConfig, device_manager: DeviceManager, sample_rate: int
) -> list[WantedSink]:
    """Return the sinks that `config` asks for.

    Parameters
    ----------
    config
        The settings.
    device_manager
        The manager of the devices whose results and audio the sinks get.
    sample_rate
        Sample rate of the audio for the sinks, in Hz.
    """
    wanted = []
    for target in targets_of(config.format, config.output, config.also):
        if target.path is None and target.format == "text" and is_live():
            labelled = len(devices_of(config.device)) > 1
            terminal = partial(TerminalSink, device_manager.status, labelled)
            wanted.append(WantedSink("terminal", (), terminal))
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
        clips = (config.keep_audio, config.keep_folder, sample_rate)
        recorder = partial(ClipRecorder, config, sample_rate, device_manager.lossless)
        wanted.append(WantedSink("keeper", clips, recorder))
    if config.serve is not None:
        page = partial(_open_page, config.serve, device_manager)
        port = address_of(config.serve).port
        wanted.append(WantedSink("page", (config.serve,), page, port))
    return wanted


def _open_mqtt(config: StreamConfig) -> Sink[Any]:
    from edge.sinks.mqtt.sink import MqttSink  # Only this sink needs paho-mqtt.

    return MqttSink(config)


def _open_page(serve: str, device_manager: DeviceManager) -> Sink[Any]:
    from edge.web.open_page import open_page  # That module imports edge.sinks.

    return open_page(serve, device_manager)
