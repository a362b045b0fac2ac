"""Connections of the page's server: so many, and none that says nothing for long.

Uvicorn itself would take any number and wait for a first request for ever. Here, connections beyond
`MOST` wait in the kernel until one ends. A connection that has sent no request makes room for them
after a moment, which gets shorter while such connections come and longer while requests come: a
thousand readers are all answered, and whoever opens thousands and says nothing is in nobody's way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger(__name__)

MOST = 192  # Connections; with all other files, fewer than a process may have open: often 1024.
SILENT_S = 10.0  # In which a request must be whole.
PATIENCE_S = (0.05, 2.0)  # In which it must be whole while others wait for room: least and most.
ROOM_S = 0.02  # From one look for room to the next.
AGAIN_S = 1.0  # Before another attempt if a connection cannot be taken.


class Connection(H11Protocol):
    """A connection that is among the `silent` ones of its server until its request is whole."""

    def __init__(self, server: BoundedServer) -> None:
        super().__init__(
            config=server.config,
            server_state=server.server_state,
            app_state={},
            _loop=asyncio.get_running_loop(),
        )
        self._server = server

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._server.silent[self] = self.loop.time()
        self._timer = self.loop.call_later(SILENT_S, self._is_silent)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and self._server.silent.pop(self, None) is not None:
            self._server.patience_s = min(2.0 * self._server.patience_s, PATIENCE_S[1])

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._server.silent.pop(self, None)
        super().connection_lost(exc)

    def _is_silent(self) -> None:
        if self.cycle is None:
            self.transport.abort()


class BoundedServer(uvicorn.Server):
    """Uvicorn's server, which takes a connection only while there is room for it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.silent: dict[Connection, float] = {}  # And since when, oldest first.
        self.patience_s = PATIENCE_S[1]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections from the one socket in `sockets`."""
        await super().startup(sockets=[])
        (listening,) = sockets or []
        self._accepting = asyncio.create_task(self._accept(listening))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and end those there are."""
        self._accepting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._accepting
        await super().shutdown(sockets=sockets)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while len(self.server_state.connections) >= MOST:
                self._make_room(loop.time())
                await asyncio.sleep(ROOM_S)
            try:
                taken, _ = await loop.sock_accept(listening)
                await loop.connect_accepted_socket(lambda: Connection(self), taken)
            except ConnectionError:  # It is gone already.
                continue
            except Exception as error:  # Most likely, the process may open no more files.
                log.debug("page: a connection cannot be taken (%r)", error)
                await asyncio.sleep(AGAIN_S)

    def _make_room(self, now_s: float) -> None:
        """End the connections that have said nothing for too long at `now_s`."""
        late = [one for one, since in self.silent.items() if now_s - since > self.patience_s]
        for one in late:
            one.transport.abort()
            del self.silent[one]
        if late:
            self.patience_s = max(self.patience_s / 2.0, PATIENCE_S[0])
