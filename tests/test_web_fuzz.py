"""Whatever is sent to the page: a status that fits, nothing in the log, and no secret anywhere."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.running import WAIT_S, Running, running
from tests.web import port_of


@dataclass
class Target:
    """A page that asks for a token."""

    run: Running
    port: int
    token: str

    def status(self, request: bytes, end: bool = False) -> int | None:
        """Return the status of the answer; None if the connection is closed without one.

        `end`: end the request there, else the server waits for the rest of a request.
        """
        answer = b""
        with (
            socket.create_connection(("127.0.0.1", self.port), WAIT_S) as connection,
            contextlib.suppress(OSError),  # The server hangs up when it has read enough.
        ):
            connection.sendall(request)
            if end:
                connection.shutdown(socket.SHUT_WR)
            while len(answer) < 20 and (piece := connection.recv(65_536)):
                answer += piece
        assert self.token.encode() not in answer
        return int(answer.split()[1]) if answer else None

    def get(self, path: bytes, *headers: bytes, token: bool = True) -> int | None:
        host = f"Host: 127.0.0.1:{self.port}".encode()
        cookie = f"Cookie: aac_stream_{self.port}={self.token}".encode()
        lines = [b"GET " + path + b" HTTP/1.1", host, *([cookie] if token else []), *headers]
        return self.status(b"\r\n".join([*lines, b"Connection: close", b"", b""]))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The page; at the end, the log of the whole run is looked at."""
    folder = tmp_path_factory.mktemp("state")
    reader, writer = os.pipe()
    arguments = ("--device", "-", "--log-level", "debug", "--serve", "0.0.0.0:0")
    env = {"XDG_STATE_HOME": str(folder), "STATE_DIRECTORY": ""}
    with running(*arguments, stdin=reader, env=env) as run:
        run.told("listening to")
        token = (folder / "aac-stream" / "token").read_text().strip()
        page = Target(run, port_of(run), token)
        assert page.get(b"/health") == 200
        yield page
        assert page.get(b"/health") == 200
        run.end()
    os.close(reader)
    os.close(writer)
    log = "\n".join(run.err)
    assert page.token not in log
    assert "Traceback" not in log
    # The settings, the model, the page, its token, the device and the summary.
    assert len(run.err) == 6, log


FUZZ = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(st.binary(max_size=400))
@example(b"GET / HTTP/1.1\r\n" * 3)
@example(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n")
@example(b"\0" * 100_000)
def test_random_bytes_are_no_request(target: Target, data: bytes) -> None:
    assert target.status(data, end=True) in (None, 400, 403)


PRINTABLE = st.characters(min_codepoint=33, max_codepoint=126)


@FUZZ
@given(st.text(PRINTABLE, max_size=60))
@example("//evil.example/%2e%2e/%2e%2e/etc/passwd")
@example("%00%ff%c3%28%0d%0aX:1")
@example("export/captions.srt?device=%00%ff&device=x")
@example("?token=%FF&token=%00&token=")
@example("a/" * 20_000)
def test_random_paths_are_not_found(target: Target, path: str) -> None:
    status = target.get(f"/{path}".encode())
    name = path.partition("?")[0]
    assert status == 200 if not name else status in (200, 400, 404, None)


@FUZZ
@given(st.binary(max_size=40), st.binary(max_size=80))
@example(b"Origin", b"http://[")
@example(b"Content-Length", b"99999999999999999999")
@example(b"Cookie", b"a=b;" * 5000)
@example(b"Authorization", b"Bearer \xff")
@example(b"Host", b"evil.example")
@example(b"X", b"y" * 200_000)
def test_random_headers_open_nothing(target: Target, name: bytes, value: bytes) -> None:
    assert target.get(b"/health", name + b": " + value) in (None, 200, 400, 401, 403)
    assert target.get(b"/health", name + b": " + value, token=False) in (None, 400, 401, 403)


@pytest.mark.parametrize("mark", ["9" * 5000, "%00", "%D9%A9-%D9%A9", "x-" + "9" * 19, "-"])
def test_random_marks_begin_a_stream(target: Target, mark: str) -> None:
    assert target.get(f"/captions?since={mark}".encode()) == 200
    assert target.get(f"/live?since={mark}".encode()) == 200


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PRI", "get"])
def test_other_methods_have_their_status(target: Target, method: str) -> None:
    host = f"Host: 127.0.0.1:{target.port}\r\nAuthorization: Bearer {target.token}"
    request = f"{method} /health HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n"
    assert target.status(request.encode()) == (200 if method == "HEAD" else 405)
