"""The routes of the web application: the page's files, streams, exports, health and metrics."""

from __future__ import annotations

import logging
from importlib.resources import files

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.web.auth import HEADERS, Access
from edge.web.export import WRITERS
from edge.web.history import Feed
from edge.web.metrics import Board
from edge.web.sse import Live

log = logging.getLogger(__name__)

MOST_VIEWERS = 64  # Maximum number of open streams.
# Media type of each file extension.
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def make_app(feed: Feed, live: Live, board: Board, access: Access) -> ASGIApp:
    """Return the web application.

    Parameters
    ----------
    feed
        The recent events.
    live
        The streams of the viewers.
    board
        The status and metrics of the run.
    access
        The checks of each request.
    """
    static = _static_files()  # The files are in memory, so that no request can name a disk path.

    async def file(request: Request) -> Response:
        name = request.path_params.get("name") or "index.html"
        if name not in static:
            raise HTTPException(404)
        content, kind = static[name]
        return Response(content, media_type=kind)

    async def stream(request: Request) -> Response:
        mark = request.headers.get("last-event-id") or request.query_params.get("since")
        if board.viewers >= MOST_VIEWERS:
            raise HTTPException(
                503, f"there are {MOST_VIEWERS} viewers, and no more can be", {"retry-after": "10"}
            )
        captions = request.url.path == "/captions"
        lines = live.captions(mark) if captions else live.page(mark or "")
        # The header x-accel-buffering keeps a proxy from buffering the stream.
        return StreamingResponse(
            lines, media_type="text/event-stream", headers={"x-accel-buffering": "no"}
        )

    async def export(request: Request) -> Response:
        ending = request.path_params["ending"]
        if ending not in WRITERS:
            raise HTTPException(404)
        kind, write = WRITERS[ending]
        device = request.query_params.get("device")
        records = feed.history(device)
        text = write(records, len({record.result.device for record in records}) > 1)
        name = {"content-disposition": f'attachment; filename="captions.{ending}"'}
        return Response(text, media_type=kind, headers=name)

    async def health(_: Request) -> Response:
        report = board.health()
        return JSONResponse(report, 200 if report["status"] == "ok" else 503)

    async def metrics(_: Request) -> Response:
        return Response(board.metrics(), media_type=METRICS_TYPE)

    routes = [
        Route("/live", stream),
        Route("/captions", stream),
        Route("/export/captions.{ending}", export),
        Route("/health", health),
        Route("/metrics", metrics),
        Route("/", file),
        Route("/{name}", file),
    ]
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False  # A redirect would use the Host header of the request.
    return _Guard(app, access)


def _static_files() -> dict[str, tuple[bytes, str]]:
    """Return the contents and the media type of each static file by its name."""
    found = {}
    for path in (files("edge.web") / "static").iterdir():
        ending = "." + path.name.rpartition(".")[2]
        if path.is_file() and ending in TYPES:
            found[path.name] = path.read_bytes(), TYPES[ending]
    return found


class _Guard:
    """Middleware around the application.

    It refuses requests without access, adds headers to each response, and answers an internal error
    with one line.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        keep = begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if keep:
                    headers.append("set-cookie", self._access.set_cookie())
            await send(message)

        try:
            given = request.query_params.get("token")
            refusal = self._access.refuses(request.headers, request.cookies, given)
            keep = refusal is None and given is not None and self._access.is_token(given)
            if refusal is None:
                await self._app(scope, receive, answer)
                return
            response = PlainTextResponse(f"{refusal.why}\n", refusal.status)
            if refusal.status == 401:
                response.headers["www-authenticate"] = "Bearer"
            await response(scope, receive, answer)
        except Exception as error:
            log.error("page: %s %r: %s", request.method, request.url.path, error, exc_info=error)
            if not begun:
                await PlainTextResponse("that went wrong\n", 500)(scope, receive, answer)
