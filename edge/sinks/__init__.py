"""Where captions go: each sink is a module here."""

from __future__ import annotations

from typing import Any

from edge.config import StreamConfig
from edge.devices import devices_of
from edge.hub import Hub
from edge.sinks.outlet import Outlet
from edge.sinks.output import Output
from edge.sinks.sink import Sink
from edge.sinks.terminal import Terminal, is_live


def open_sinks(config: StreamConfig, hub: Hub) -> list[Sink[Any]]:
    """All that `config` asks for, of what `hub` hears.

    Raises: OutputError if one cannot be opened.
    """
    if config.output is None and config.format == "text" and is_live():
        return [Terminal(hub.status, labelled=len(devices_of(config.device)) > 1)]
    return [Output(config, config.format, config.output)]


__all__ = ["Outlet", "Sink", "open_sinks"]
