"""`--serve` over plain HTTP: what is answered, to whom, and that nothing disturbs the loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers import ROOT, SAMPLE, aac_stream, the_one_line
from tests.running import records, until

pytest.importorskip("starlette", reason="needs the extra: pip install 'aac-stream[web]'")
pytest.importorskip("uvicorn", reason="needs the extra: pip install 'aac-stream[web]'")

from edge.web.address import Address
from edge.web.auth import Access
from tests.web import ask, get, port_of, served, stream

OFTEN = ("--window-s", "2", "--hop-s", "0.5")


def test_what_programs_ask_for(long: Path) -> None:
    with served("--device", f"den={long}", *OFTEN) as (run, port):
        until(lambda: bool(run.out), "a caption")
        health = get(port, "/health")
        assert health.status == 200
        assert json.loads(health.body)["devices"].keys() == {"den"}
        metrics = get(port, "/metrics")
        assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
        check_metrics(metrics.text)
        assert re.search(r'^aac_stream_events_total\{device="den"\} [1-9]', metrics.text, re.M)
        (event, *_) = json.loads(get(port, "/export/captions.json").body)
        assert {"key", "device", "at", "start_s", "end_s", "text", "confidence", "open"} < {*event}
        assert event["device"] == "den"
        assert f"{event['text']}  [" in get(port, "/export/captions.txt").text
        srt = get(port, "/export/captions.srt?device=den")
        assert srt.text.startswith("1\n00:00:0")
        assert srt.headers["content-disposition"] == 'attachment; filename="captions.srt"'
        assert get(port, "/export/captions.srt?device=none").body == b""


def check_metrics(text: str) -> None:
    """Each sample follows its HELP and TYPE, and is a number."""
    name = None
    for line in text.splitlines():
        if line.startswith("# HELP"):
            name = line.split()[2]
        elif line.startswith("# TYPE"):
            assert line.split()[2:] in ([name, "gauge"], [name, "counter"])
            assert name is not None
            assert name.endswith("_total") == line.endswith("counter")
        else:
            assert re.fullmatch(rf"{name}(\{{[^}}]*\}})? -?[\d.e+-]+", line), line


def test_a_thousand_readers_at_once_are_all_answered(long: Path) -> None:
    async def read(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /metrics HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return answer

    async def read_all(port: int) -> list[bytes]:
        return await asyncio.gather(*(read(port) for _ in range(1000)))

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(2048, hard)), hard))
    try:
        with served("--device", str(long)) as (run, port):
            for answer in asyncio.run(read_all(port)):
                head, _, body = answer.partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200 OK")
                assert f"content-length: {len(body)}\r\n".encode() in head + b"\r\n"
            run.end()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(run.err) == 3, run.err  # page, device, summary


def test_captions_come_and_none_is_missed_by_who_comes_back(long: Path) -> None:
    with served("--device", str(long), *OFTEN) as (_, port):
        with stream(port, "/captions") as messages:
            first = next(messages)
            assert first["data"]["open"]
        with stream(port, "/captions", last_event_id=first["id"]) as messages:
            second = next(messages)
            assert int(second["id"].split("-")[1]) == int(first["id"].split("-")[1]) + 1
        with stream(port, "/captions?since=another-1") as messages:
            assert next(messages)["data"]["key"] == 1  # of another run: all there is
        with stream(port, "/live") as messages:
            kinds: list[str] = []
            for message in messages:
                kinds.append(message["event"])
                if {"hello", "events", "status", "columns"} <= set(kinds):
                    break
            assert kinds[:2] == ["hello", "events"]


def test_every_answer_has_a_policy_and_none_lets_other_pages_read(long: Path) -> None:
    with served("--device", str(long)) as (_, port):
        paths = [
            "/",
            "/app.js",
            "/style.css",
            "/health",
            "/metrics",
            "/none",
            "/export/captions.txt",
        ]
        for path in paths:
            answer = get(port, path)
            assert answer.status == (404 if path == "/none" else 200)
            assert answer.headers["content-security-policy"].startswith("default-src 'none'; ")
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert not [name for name in answer.headers if name.startswith("access-control")]
            assert "server" not in answer.headers
        own = f"127.0.0.1:{port}"
        assert get(port, "/", origin=f"http://{own}").status == 200
        assert get(port, "/", host=f"localhost:{port}").status == 200
        for origin in ("http://evil.example", f"http://{own}.evil.example", "null", "http://[", ""):
            assert get(port, "/captions", origin=origin).status == 403
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "[", ""):
            assert get(port, "/captions", host=host).status == 403


def test_what_is_no_request_has_a_status_and_the_loop_goes_on(tmp_path: Path, long: Path) -> None:
    out = tmp_path / "out.jsonl"
    often = (*OFTEN, "--format", "jsonl", "--output", str(out))
    with served("--device", str(long), *often) as (run, port):
        assert get(port, "/", method="POST").status == 405
        assert get(port, "/live", method="DELETE").status == 405
        for path in (
            "/../config.py",
            "/static/../../cli.py",
            "/%2e%2e%2fcli.py",
            "/app.js/",
            "/%00",
        ):
            assert get(port, path).status == 404
        for bad in (
            b"\0\1\2\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET / HTTP/9\r\n\r\n",
            b"\x16\x03\x01" * 99,
        ):
            assert ask(port, bad).status == 400
        assert ask(port, b"GET / HTTP/1.1\r\n\r\n").status == 400  # no Host
        with contextlib.suppress(ConnectionResetError):  # when it has heard enough
            assert ask(port, b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n").status == 400
        assert get(
            port, "/health?token=%FF%00&token=", cookie="a=\x7f; ;=;", upgrade="websocket"
        ).status
        before = len(records(out))
        until(lambda: len(records(out)) > before, "captions")
        run.end()
        assert run.process.returncode == 0, run.err
    assert len(run.err) == 3, run.err  # page, device, summary


def test_thousands_that_say_nothing_are_in_nobodys_way(tmp_path: Path, long: Path) -> None:
    out = tmp_path / "out.jsonl"
    often = (*OFTEN, "--format", "jsonl", "--output", str(out))
    most = min(3000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with served("--device", str(long), *often) as (run, port):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most + 200, hard))
        idle = []
        try:
            until(lambda: len(records(out)) > 2, "captions")
            for count in range(most):
                idle.append(socket.create_connection(("127.0.0.1", port), 10.0))
                if count % 1000 == 0:
                    assert get(port, "/health").status == 200
            assert get(port, "/health").status == 200
            assert len(os.listdir(f"/proc/{run.process.pid}/fd")) < 450
            before = len(records(out))
            until(lambda: len(records(out)) > before + 2, "captions")
            run.end()
            assert run.process.returncode == 0, run.err
        finally:
            for one in idle:
                one.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(run.err) == 3 or "skipped" in "".join(run.err), run.err


def test_a_run_ends_at_once_though_viewers_watch(long: Path) -> None:
    with (
        served("--device", str(long)) as (run, port),
        stream(port, "/live") as one,
        stream(port, "/captions") as two,
    ):
        next(one)
        run.end()
        assert run.process.returncode == 0
        list(one)
        list(two)
    assert "Traceback" not in "\n".join(run.err)


def test_another_setting_leaves_the_viewers_and_another_address_is_used(
    tmp_path: Path, long: Path
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("min_confidence: 0.3\n")
    often = ("--config", str(path), "--device", str(long), *OFTEN)
    with served(*often) as (run, port), stream(port, "/live") as messages:
        next(messages)
        path.write_text("min_confidence: 0.4\nformat: jsonl\n")
        run.hup()
        run.told("min_confidence, format changed")
        assert [next(messages)["event"] for _ in range(10)]
    path.write_text("serve: 127.0.0.1:0\n")
    with served("--config", str(path), "--device", str(long), where="127.0.0.1:0") as (run, port):
        assert get(port, "/health").status == 200


def test_where_it_serves_can_be_changed(tmp_path: Path, long: Path) -> None:
    from tests.running import running

    path = tmp_path / "c.yaml"
    path.write_text("serve: 127.0.0.1:0\n")
    with running("--config", str(path), "--device", str(long)) as run:
        first = port_of(run)
        path.write_text(f"serve: {first}\n")  # the same port by another name
        run.hup()
        assert port_of(run, 2) == first
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            path.write_text(f"serve: 127.0.0.1:{taken.getsockname()[1]}\n")
            run.hup()
            told = run.told("the settings stay as they were")
            assert "cannot be had (address already in use); choose another --serve" in told
        assert get(first, "/health").status == 200  # by the page there was
        path.write_text("serve: null\n")
        run.hup()
        run.told("serve changed", times=2)
        with pytest.raises(ConnectionRefusedError):
            get(first, "/health")
        run.end()
        assert run.process.returncode == 0, run.err


def test_elsewhere_than_on_this_machine_it_asks_for_a_token(tmp_path: Path, long: Path) -> None:
    env = {"XDG_STATE_HOME": str(tmp_path), "STATE_DIRECTORY": ""}
    file = tmp_path / "aac-stream" / "token"
    with served("--device", str(long), where="0.0.0.0:0", env=env) as (run, port):
        assert f"the page's token is in {file}" in run.told("token")
        token = file.read_text().strip()
        assert token not in "".join(run.err)  # which may be a log
        assert file.stat().st_mode & 0o777 == 0o600
        for path in ("/", "/app.js", "/live", "/captions", "/health", "/metrics"):
            assert get(port, path).status == 401
        for wrong in ("x", token[:-1], token + "x", "%00", "%C3%A4"):
            answer = get(port, f"/?token={wrong}")
            assert answer.status == 401
            assert "set-cookie" not in answer.headers
        right = get(port, f"/?token={token}")
        assert right.status == 200
        cookie, *flags = right.headers["set-cookie"].split("; ")
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(flags)
        assert get(port, "/app.js", cookie=cookie).status == 200
        assert get(port, "/metrics", authorization=f"Bearer {token}").status == 200
        assert get(port, "/", cookie=cookie, origin="http://evil.example").status == 403
        assert get(port, "/", cookie=cookie, host=f"evil.example:{port}").status == 403
        assert get(port, "/", cookie=cookie, host=f"192.168.0.7:{port}").status == 200
    with served("--device", str(long), where="0.0.0.0:0", env=env):
        assert file.read_text().strip() == token
    file.chmod(0o644)
    done = aac_stream("--device", str(long), "--serve", "0.0.0.0:0", env={**os.environ, **env})
    assert "others may read the token" in the_one_line(done)


def test_a_terminal_is_shown_the_link_once(tmp_path: Path, long: Path) -> None:
    import pty

    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "STATE_DIRECTORY": ""}
    shown = []
    for _ in range(2):
        keeper, terminal = pty.openpty()
        command = [sys.executable, "-m", "edge", "--device", str(long), "--serve", "0.0.0.0:0"]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=terminal,
            cwd=ROOT,
            env=env,
        )
        os.close(terminal)
        said = b""
        while b"listening to" not in said:
            said += os.read(keeper, 4096)
        process.terminate()
        process.wait(20.0)
        os.close(keeper)
        shown.append(said.decode())
    token = (tmp_path / "aac-stream" / "token").read_text().strip()
    assert f"/?token={token}\r\n" in shown[0]
    assert "▄" in shown[0] or "█" in shown[0]
    assert token not in shown[1]


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("nonsense", "serve: 'nonsense' is not HOST:PORT, such as 127.0.0.1:8642"),
        ("127.0.0.1:99999", "is not HOST:PORT"),
        ("http://127.0.0.1:80", "is not HOST:PORT"),
        ("192.0.2.1:8642", "192.0.2.1:8642 cannot be had"),
        ("no.such.name.invalid:8642", "no.such.name.invalid:8642 cannot be had"),
    ],
)
def test_an_address_that_will_not_do_is_one_line(where: str, says: str, tmp_path: Path) -> None:
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "STATE_DIRECTORY": ""}
    done = aac_stream("--device", str(SAMPLE), "--serve", where, env=env)
    assert says in the_one_line(done)


def test_a_port_in_use_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = aac_stream("--device", str(SAMPLE), "--serve", str(taken.getsockname()[1]))
    assert "cannot be had (address already in use); choose another --serve" in the_one_line(done)


def test_without_the_extra_it_says_what_to_type() -> None:
    code = (
        "import sys, importlib.util as u; find = u.find_spec;"
        "u.find_spec = lambda name, *a: None if name == 'starlette' else find(name, *a);"
        "from edge.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "--device", str(SAMPLE), "--serve"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    line = "aac-stream: serve: needs starlette; type: pip install 'aac-stream[web]'"
    assert the_one_line(done) == line


def test_without_serve_nothing_of_it_is_loaded() -> None:
    code = (
        "import sys; from edge.cli import main; main(sys.argv[1:]);"
        "print([m for m in ('starlette', 'uvicorn', 'segno', 'asyncio') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, "--device", str(SAMPLE), "--fast"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done


def test_names_that_could_be_anothers_are_not_ours() -> None:
    def lets(address: str, host: str) -> bool:
        access = Access(Address(address, 8642), None)
        return access.refuses({"host": host}, {}, None) is None

    assert lets("127.0.0.1", "[::1]:8642")
    assert not lets("127.0.0.1", "192.168.0.7:8642")
    assert lets("0.0.0.0", f"{socket.gethostname()}.local:8642")
    assert lets("::", "[fe80::1]:8642")
    assert lets("captions.example", "captions.example:8642")
    assert not lets("0.0.0.0", "captions.example:8642")


def test_a_viewer_that_reads_nothing_costs_the_loop_nothing(tmp_path: Path, long: Path) -> None:
    out = tmp_path / "out.jsonl"
    often = (*OFTEN, "--format", "jsonl", "--output", str(out))
    with served("--device", str(long), *often) as (_, port):
        deaf = []
        for _ in range(30):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            one.connect(("127.0.0.1", port))
            one.sendall(f"GET /live HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
            deaf.append(one)
        until(lambda: json.loads(get(port, "/health").body)["viewers"] == 30, "viewers")
        began, before = time.monotonic(), len(records(out))
        until(lambda: len(records(out)) >= before + 8, "captions")
        assert time.monotonic() - began < 8.0  # 4 s, and what others take of the machine
        for one in deaf:
            one.close()
        until(lambda: json.loads(get(port, "/health").body)["viewers"] == 0, "no viewers")
