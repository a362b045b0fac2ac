"""Limits on the connections of the page's server: their number, and the time without a request.

Uvicorn itself accepts any number of connections and waits for a first request without a limit.
Here, connections beyond `MOST` wait in the kernel until another connection ends. While they wait,
connections that have sent no complete request are closed after a time limit. The limit halves each
time that such connections are closed, and doubles with each request. So a thousand readers all get
an answer, and a client that opens thousands of silent connections does not block them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger(__name__)

MOST = 192  # Maximum number of connections, well below the usual limit of 1024 open files.
SILENT_S = 10.0  # Time limit in seconds for a complete first request.
PATIENCE_S = (0.05, 2.0)  # Minimum and maximum of this limit in seconds while others wait.
ROOM_S = 0.02  # Seconds between two checks for room.
AGAIN_S = 1.0  # Seconds before the next attempt after a connection cannot be accepted.


class Connection(H11Protocol):
    """A connection. It is in the server's `silent` connections until its request is complete."""

    def __init__(self, server: BoundedServer) -> None:
        super().__init__(
            config=server.config,
            server_state=server.server_state,
            app_state={},
            _loop=asyncio.get_running_loop(),
        )
        self._server = server

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time limit of the first request."""
        super().connection_made(transport)
        self._server.silent[self] = self.loop.time()
        self._timer = self.loop.call_later(SILENT_S, self._is_silent)

    def data_received(self, data: bytes) -> None:
        """Process data, and count the connection as active once a request is complete."""
        super().data_received(data)
        if self.cycle is not None and self._server.silent.pop(self, None) is not None:
            self._server.patience_s = min(2.0 * self._server.patience_s, PATIENCE_S[1])

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time limit."""
        self._timer.cancel()
        self._server.silent.pop(self, None)
        super().connection_lost(exc)

    def _is_silent(self) -> None:
        if self.cycle is None:
            self.transport.abort()


class BoundedServer(uvicorn.Server):
    """A Uvicorn server that accepts a connection only while there is room for it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.silent: dict[Connection, float] = {}  # Start time in seconds, oldest first.
        self.patience_s = PATIENCE_S[1]  # Present time limit in seconds, see `PATIENCE_S`.

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections from the one socket in `sockets`."""
        await super().startup(sockets=[])
        (listening,) = sockets or []
        self._accepting = asyncio.create_task(self._accept(listening))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections, and close the open ones."""
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
            except ConnectionError:  # The client has closed it already.
                continue
            except Exception as error:  # Most likely too many files are open.
                log.debug("page: a connection cannot be taken (%r)", error)
                await asyncio.sleep(AGAIN_S)

    def _make_room(self, now_s: float) -> None:
        """Close the connections without a complete request for too long at `now_s` seconds."""
        late = [one for one, since in self.silent.items() if now_s - since > self.patience_s]
        for one in late:
            one.transport.abort()
            del self.silent[one]
        if late:
            self.patience_s = max(self.patience_s / 2.0, PATIENCE_S[0])
