"""Opens the page, if what it needs is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from edge.errors import OutputError
from edge.sinks.base import Sink
from edge.streaming.device_manager import DeviceManager
from edge.web.address import address_of

EXTRA = ("starlette", "uvicorn", "segno")


def open_page(serve: str, device_manager: DeviceManager) -> Sink[Any]:
    """Serves what `device_manager` hears on the address `serve`, until the sink is closed.

    Raises: OutputError if a package is missing or the address cannot be had.
    """
    missing = [name for name in EXTRA if find_spec(name) is None]
    if missing:
        raise OutputError(f"serve: needs {', '.join(missing)}; type: pip install 'aac-stream[web]'")
    from edge.web.page import Page  # what follows needs the extra

    return Page(address_of(serve), device_manager)
