"""The HTTP server, which runs in its own thread and event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading

import uvicorn

from edge.errors import OutputError
from edge.web.address import Address, with_port
from edge.web.connections import BoundedServer
from edge.web.sse import Live

log = logging.getLogger(__name__)

BACKLOG = 1024  # Maximum number of connections that wait in the kernel.
SENT = 64 * 1024  # Send buffer in bytes, so small that a slow viewer lags by seconds, not minutes.
GONE_MS = 30_000  # Milliseconds after which the kernel drops a viewer that acknowledges no data.


def listen(address: Address) -> socket.socket:
    """Return a non-blocking socket that listens on `address`.

    Raises
    ------
    OutputError
        If the address is not available.
    """
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, where = sorted(found, key=lambda one: one[0])[0]  # IPv4 first
        sock = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _failed(address, error) from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE_MS)
        sock.bind(where)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise _failed(address, error) from None
    return sock


def _failed(address: Address, error: Exception) -> OutputError:
    reason = getattr(error, "strerror", None) or str(error)
    where = with_port(address.host, address.port)
    return OutputError(f"serve: {where} cannot be had ({reason.lower()}); choose another --serve")


class Server:
    """Serves an application from `start` to `close`.

    Parameters
    ----------
    app
        The ASGI application.
    live
        The streams, which run in the server's event loop.
    sock
        The listening socket, which this class closes.
    """

    def __init__(self, app: object, live: Live, sock: socket.socket) -> None:
        # Silence the loggers of Uvicorn, which write a line for each bad request.
        for name in ("uvicorn.error", "uvicorn.access"):
            logger = logging.getLogger(name)
            logger.propagate = False
            logger.handlers[:] = [logging.NullHandler()]
            logger.setLevel(logging.CRITICAL)
        config = uvicorn.Config(
            app,  # type: ignore[arg-type]
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=1,
        )
        self._server, self._live, self._sock = BoundedServer(config), live, sock
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    def start(self) -> None:
        """Start the thread of the server."""
        self._thread.start()

    def close(self, timeout: float) -> None:
        """Stop the server and wait up to `timeout` seconds; any thread may call this anytime."""
        self._live.closing = self._server.should_exit = True
        self._thread.join(timeout)
        if not self._thread.is_alive():  # A running thread still uses the socket.
            self._sock.close()

    def _run(self) -> None:
        serving = self._serve()
        try:
            asyncio.run(serving)
        except Exception as error:  # The captions go on without the page.
            serving.close()  # The coroutine has not started if no event loop could be made.
            if not self._live.closing:
                log.error("the page has ended: %s", error, exc_info=error)

    async def _serve(self) -> None:
        ticks = asyncio.create_task(self._live.run())
        await self._server.serve(sockets=[self._sock])
        ticks.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ticks
