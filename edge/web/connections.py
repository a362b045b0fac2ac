"""Connections of the page's server: so many, and none that says nothing for long."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 192  # connections; with all that wait, fewer than a process may have open: often 1024
SILENT_S = 10.0  # in which a request must be whole


class Connection(H11Protocol):
    """Uvicorn itself would wait for a first request for ever.

    When there are too many, the one that has said nothing for longest goes: whoever opens thousands
    and says nothing is thus in nobody's way.
    """

    silent: dict[Connection, None] = {}  # noqa: RUF012  of the one server there is, oldest first

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.silent[self] = None
        self._timer = self.loop.call_later(SILENT_S, self._is_silent)
        if len(self.connections) > MOST:
            oldest = next(iter(self.silent))
            oldest.transport.abort()
            oldest.connections.discard(oldest)
            self.silent.pop(oldest)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None:
            self.silent.pop(self, None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self.silent.pop(self, None)
        super().connection_lost(exc)

    def _is_silent(self) -> None:
        if self.cycle is None:
            self.transport.abort()
