"""Where captions go: each sink is a module here."""

from __future__ import annotations

from typing import Any

from edge.config import StreamConfig
from edge.hub import Hub
from edge.sinks.outlet import Outlet
from edge.sinks.output import Output
from edge.sinks.sink import Sink


def open_sinks(config: StreamConfig, hub: Hub) -> list[Sink[Any]]:
    """All that `config` asks for, of what `hub` hears.

    Raises: OutputError if one cannot be opened.
    """
    del hub
    return [Output(config, config.format, config.output)]


__all__ = ["Outlet", "Sink", "open_sinks"]
