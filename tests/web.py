"""A page that is served, and plain HTTP to it: no client that would mend what we send."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.running import WAIT_S, Running, running


@dataclass
class Answer:
    status: int
    headers: dict[str, str]  # names in small letters
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@contextlib.contextmanager
def served(
    *arguments: str, where: str = "127.0.0.1:0", env: dict[str, str] | None = None
) -> Iterator[tuple[Running, int]]:
    """A run with a page, and the port of that."""
    with running("--serve", where, *arguments, env=env) as run:
        yield run, port_of(run)


def port_of(run: Running, times: int = 1) -> int:
    return int(run.told("page on http://", times).rstrip("/").rpartition(":")[2])


def ask(port: int, request: bytes) -> Answer:
    """Send `request` as it is, and read until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as connection:
        connection.sendall(request)
        data = b""
        while piece := connection.recv(65536):
            data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Answer(int(first.split()[1]), headers, body)


def get(port: int, path: str, method: str = "GET", **headers: str) -> Answer:
    """`headers`: with _ for -, and Host unless it is given."""
    given = {"host": f"127.0.0.1:{port}", **headers, "connection": "close"}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    return ask(port, f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode())


@contextlib.contextmanager
def stream(port: int, path: str, **headers: str) -> Iterator[Iterator[dict[str, Any]]]:
    """The messages of a stream, each with `event`, `id` and `data`, as far as it has them."""
    given = {"host": f"127.0.0.1:{port}", **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n{lines}\r\n".encode())  # 1.0: not in chunks
        yield _messages(connection)


def _messages(connection: socket.socket) -> Iterator[dict[str, Any]]:
    data, began = b"", time.monotonic()
    while b"\r\n\r\n" not in data:
        data += connection.recv(1)
    assert data.split()[1] == b"200", data
    data = b""
    while time.monotonic() - began < WAIT_S:
        while b"\n\n" in data:
            piece, _, data = data.partition(b"\n\n")
            fields = dict(line.split(": ", 1) for line in piece.decode().split("\n"))
            if "data" in fields:
                yield {**fields, "data": json.loads(fields["data"])}
        new = connection.recv(65536)
        if not new:
            return
        data += new
