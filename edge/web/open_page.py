"""Opening the page, with a check that its packages are installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from edge.errors import OutputError
from edge.sinks.base import Sink
from edge.streaming.device_manager import DeviceManager
from edge.web.address import address_of

EXTRA = ("starlette", "uvicorn", "segno")  # The packages of the extra `web`.


def open_page(serve: str, device_manager: DeviceManager) -> Sink[Any]:
    """Open the page, which serves until the returned sink is closed.

    Parameters
    ----------
    serve
        Address to listen on, as in the setting `serve`.
    device_manager
        The manager of the devices that the page shows.

    Raises
    ------
    OutputError
        If a package is missing, or the address or the token is not available.
    """
    missing = [name for name in EXTRA if find_spec(name) is None]
    if missing:
        raise OutputError(f"serve: needs {', '.join(missing)}; type: pip install 'aac-stream[web]'")
    from edge.web.page import Page  # This import needs the extra `web`.

    return Page(address_of(serve), device_manager)
