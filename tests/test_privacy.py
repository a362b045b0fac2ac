"""What is heard stays on the machine: a run opens no network connection."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT, SAMPLE, aac_stream

# Loaded by the interpreter itself before anything of ours, in a fresh process.
HOOK = """\
import os, socket, sys

def watch(event, arguments):
    if event.startswith("socket."):
        own = arguments and isinstance(arguments[0], socket.socket)
        if event == "socket.__new__":
            family = arguments[1]
        else:
            family = arguments[0].family if own else None
        with open(os.environ["EVENTS"], "a") as file:
            file.write(f"{event} {'unix' if family == socket.AF_UNIX else 'network'}\\n")

sys.addaudithook(watch)
"""


def watched(tmp_path: Path, *command: str, **env: str) -> list[str]:
    """Events of Python's sockets in a run of `command`."""
    (tmp_path / "sitecustomize.py").write_text(HOOK)
    events = tmp_path / "events"
    events.touch()
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        env={**os.environ, **env, "PYTHONPATH": str(tmp_path), "EVENTS": str(events)},
        cwd=ROOT,
        timeout=180,
    )
    assert done.returncode == 0, done
    return events.read_text().splitlines()


def test_the_hook_sees_a_connection(tmp_path: Path) -> None:
    code = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"
    events = watched(tmp_path, "-c", code)
    assert events == ["socket.__new__ network", "socket.connect network"]


def test_a_run_opens_no_network_connection(tmp_path: Path) -> None:
    run = ("-m", "edge", "--device", str(SAMPLE), "--fast", "--format", "jsonl")
    assert watched(tmp_path, *run) == []
    told = watched(tmp_path, *run, NOTIFY_SOCKET=str(tmp_path / "nobody"))
    assert set(told) == {"socket.__new__ unix", "socket.sendto unix"}


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment in which no library can tell that it is tested, and a home of its own."""
    (tmp_path / "home").mkdir()
    return {"HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"]}


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace; the hook above sees Python's")
def test_nor_do_the_libraries_beneath_it(tmp_path: Path, bare: dict[str, str]) -> None:
    """ONNX Runtime, for one, opens sockets that Python does not see, ten seconds after its start.

    And it would keep an identifier of the machine in the user's home.
    """
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-e", "trace=network", "-o", str(trace), "timeout", "25"]
    done = subprocess.run(
        [*strace, sys.executable, "-m", "edge", "--device", str(SAMPLE)],  # as it plays
        capture_output=True,
        text=True,
        env=bare,
        cwd=ROOT,
        timeout=180,
    )
    if "ptrace" in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr.splitlines()[0]}")
    assert "s heard" in done.stderr, done
    calls = trace.read_text()
    assert "exited with 0" in calls
    assert set(re.findall(r"\b[AP]F_[A-Z0-9]+", calls)) <= {"AF_UNIX"}, calls
    assert [path for path in (tmp_path / "home").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("first", ["edge.cli", "export.quantise"])
def test_the_runtime_keeps_nothing_in_the_home(bare: dict[str, str], first: str) -> None:
    """Whichever module of ours comes first: it reads whether it may when it is loaded."""
    if first.startswith("export"):
        pytest.importorskip("onnx")
    code = f"import {first}; from edge.inference.captioner import load_captioner; load_captioner()"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, env=bare, cwd=ROOT, timeout=180)
    assert done.returncode == 0, done
    assert list(Path(bare["HOME"]).iterdir()) == []


def test_no_setting_but_the_device_the_broker_and_the_page_names_a_server() -> None:
    """What the help lists is all there is; audio may come from a URL, and none goes to one.

    `--mqtt` has captions sent to the broker that it names; `--serve` waits to be asked, and asks
    nobody.
    """
    said = aac_stream("--help").stdout.lower()
    options = re.split(r"\n  (?=-)", said)
    naming = [text.split()[0] for text in options[1:] if re.search(r"url|host|server|port\b", text)]
    assert naming == ["--device", "--mqtt", "--serve"]
