"""Where captions go: each sink is a module here."""

from __future__ import annotations

from typing import Any

from edge.config import StreamConfig
from edge.devices import devices_of
from edge.hub import Hub
from edge.sinks.command import Command
from edge.sinks.keeper import Keeper
from edge.sinks.outlet import Outlet
from edge.sinks.output import Output
from edge.sinks.sink import HearingSink, Sink
from edge.sinks.terminal import Terminal, is_live


def open_sinks(config: StreamConfig, hub: Hub) -> list[Sink[Any]]:
    """All that `config` asks for, of what `hub` hears.

    Raises: OutputError if one cannot be opened.
    """
    sinks: list[Sink[Any]] = []
    if config.output is None and config.format == "text" and is_live():
        sinks.append(Terminal(hub.status, labelled=len(devices_of(config.device)) > 1))
    else:
        sinks.append(Output(config, config.format, config.output))
    if config.command:
        sinks.append(Command(config))
    if config.keep_audio:
        sinks.append(Keeper(config, hub.rate))
    return sinks


__all__ = ["HearingSink", "Outlet", "Sink", "open_sinks"]
