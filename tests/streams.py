"""A real HTTP server that plays a recording as radio stations do: on the clock, without an end."""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STEP_S = 0.1


class RadioServer:
    """`/live` is `recording` on the clock, of no known length; `/recording` the file at once."""

    def __init__(self, recording: Path, seconds: float, port: int = 0) -> None:
        self.broken, self.stalled = threading.Event(), threading.Event()
        self.requests: list[str] = []
        data, outer = recording.read_bytes(), self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                path = self.path.partition("?")[0]
                self.send_response(200)
                self.send_header("Content-Type", "application/octet-stream")
                if path in ("/recording", "/cut"):
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if path == "/live":
                    outer._play(self, data, len(data) / seconds)
                elif path == "/cut":
                    self.wfile.write(data[: len(data) // 2])
                else:
                    self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Nothing on the terminal."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # they hang up
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _play(self, handler: BaseHTTPRequestHandler, data: bytes, rate: float) -> None:
        began, sent = time.monotonic(), 0
        while sent < len(data) and not self.broken.wait(STEP_S):
            if not self.stalled.is_set():
                due = int((time.monotonic() - began) * rate) - sent
                handler.wfile.write(data[sent : sent + due])
                sent += due
        handler.connection.shutdown(socket.SHUT_RDWR)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def close(self) -> None:
        """Hang up on everybody, and be gone."""
        self.broken.set()
        self._server.shutdown()
        self._server.server_close()
