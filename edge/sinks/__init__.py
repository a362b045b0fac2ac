"""Where captions go: each sink is a module here."""

from __future__ import annotations

from typing import Any

from edge.config import StreamConfig
from edge.devices import devices_of
from edge.hub import Hub
from edge.outputs import targets_of
from edge.sinks.command import Command
from edge.sinks.keeper import Keeper
from edge.sinks.outlet import Outlet
from edge.sinks.output import Output
from edge.sinks.sink import HearingSink, Sink
from edge.sinks.terminal import Terminal, is_live


def open_sinks(config: StreamConfig, hub: Hub) -> list[Sink[Any]]:
    """All that `config` asks for, of what `hub` hears.

    Raises: OutputError if one cannot be opened; then none is.
    """
    sinks: list[Sink[Any]] = []
    try:
        _open(config, hub, sinks)
    except BaseException:
        for sink in sinks:
            sink.close()
        raise
    return sinks


def _open(config: StreamConfig, hub: Hub, sinks: list[Sink[Any]]) -> None:
    for target in targets_of(config.format, config.output, config.also):
        if target.path is None and target.format == "text" and is_live():
            sinks.append(Terminal(hub.status, labelled=len(devices_of(config.device)) > 1))
        else:
            sinks.append(Output(config, target.format, target.path))
    if config.mqtt is not None:
        from edge.sinks.mqtt import Mqtt  # who has no broker need not load what it takes

        sinks.append(Mqtt(config))
    if config.command:
        sinks.append(Command(config))
    if config.keep_audio:
        sinks.append(Keeper(config, hub.features.sample_rate, hub.lossless))


__all__ = ["HearingSink", "Outlet", "Sink", "open_sinks"]
