"""Each failure of the four commands is one line and exit code 2, whatever the streams are."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edge import cli
from edge.errors import AacStreamError
from edge.process.program import Parser, run_program
from tests.helpers import ROOT, SAMPLE, the_one_line

CODE = "import sys; from {}.cli import main; sys.exit(main(sys.argv[1:]))"
PACKAGES = {
    "aac-stream": "edge",
    "aac-export": "export",
    "aac-distill": "distill",
    "aac-bench": "benchmarks",
}
FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")


def shell(
    command: str, program: str = "aac-stream", **env: str
) -> subprocess.CompletedProcess[str]:
    """Run `program` with the arguments and redirections of `command`, by a shell."""
    started = shlex.join([sys.executable, "-c", CODE.format(PACKAGES[program])])
    done = subprocess.run(
        ["sh", "-c", f"{started} {command}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, **env},
        timeout=180,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


@FULL
@pytest.mark.parametrize(
    ("program", "buffered"), [("aac-stream", ""), *((name, "1") for name in PACKAGES)]
)
def test_help_for_a_full_disk_is_one_line(program: str, buffered: str) -> None:
    done = shell("--help >/dev/full", program, PYTHONUNBUFFERED=buffered)
    line = "standard output: cannot be written (No space left on device); send it elsewhere"
    assert done.stderr == f"{program}: {line}\n"
    assert done.returncode == 2


@FULL
@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_list_of_devices_for_a_full_disk_is_one_line(buffered: str) -> None:
    done = shell("--list-devices >/dev/full", PYTHONUNBUFFERED=buffered)
    assert "cannot be written (No space left on device)" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.returncode == 2


@FULL
def test_a_wrong_option_has_exit_code_2_where_nobody_can_read_it() -> None:
    assert shell("--bad 2>/dev/full").returncode == 2
    assert shell("--bad 2>&-").returncode == 2


def test_a_reader_that_goes_away_is_no_failure() -> None:
    done = shell("--help | true")
    assert done.stderr == ""


def test_captions_for_a_closed_output_are_refused_before_listening() -> None:
    done = shell(f"--device {SAMPLE} --fast >&-")
    assert done.returncode == 2
    line = "standard output: cannot be written (Bad file descriptor); write to a file"
    assert done.stderr.startswith(f"aac-stream: {line}")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_captions_are_written_to_a_file_whatever_is_closed(tmp_path: Path, closed: str) -> None:
    """No message may end in the file that took the number of the closed stream."""
    out = tmp_path / "out.txt"
    done = shell(f"--device {SAMPLE} --fast --output {out} {closed}")
    assert done.returncode == 0
    assert (done.stdout, done.stderr) == ("", "")
    lines = out.read_text().splitlines()
    assert len(lines) > 5
    assert all(line[2] == ":" and line.endswith("%]") for line in lines)


def test_captions_are_printed_without_a_standard_error() -> None:
    done = shell(f"--device {SAMPLE} --fast 2>&-")
    assert done.returncode == 0
    assert "a rooster crows" in done.stdout


def test_a_closed_input_is_one_line() -> None:
    done = shell("--device - <&-")
    assert done.stderr.startswith("aac-stream: standard input: is closed; ")
    assert done.returncode == 2


def test_names_of_devices_are_printed_on_an_ascii_terminal() -> None:
    code = (
        "import sys; from edge import cli; from edge.audio.devices import InputDevice;"
        "cli.list_inputs = lambda: [InputDevice(0, 'Küche', 'ALSA', 1, 48000, True)];"
        "sys.exit(cli.main(['--list-devices']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    assert done.returncode == 0, done.stderr
    assert "K\\xfcche" in done.stdout


def failing(error: BaseException) -> Callable[[], int]:
    def body() -> int:
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "says", "code"),
    [
        (AacStreamError("x.wav: no such file"), "x.wav: no such file", 2),
        (PermissionError(13, "Permission denied", "/x"), "/x: Permission denied", 2),
        (OSError(28, "No space left on device"), "output cannot be written (No space left", 2),
        (MemoryError(), "the machine has too little free memory; end other programs", 2),
        (KeyError("x"), "unexpected error (KeyError: 'x'); please report it", 2),
        (AssertionError(), "unexpected error (AssertionError); please report it", 2),
        (RecursionError("too deep"), "unexpected error (RecursionError: too deep)", 2),
        (KeyboardInterrupt(), "interrupted", 130),
        (BrokenPipeError(32, "Broken pipe"), "", 0),
    ],
)
def test_every_error_is_one_sentence(error: BaseException, says: str, code: int) -> None:
    told: list[str] = []
    assert run_program(failing(error), lambda line, _: told.append(line)) == code
    assert len(told) == bool(says)
    assert not told or told[0].startswith(says)


def test_an_error_that_ends_a_thread_is_one_sentence() -> None:
    told: list[str] = []

    def body() -> int:
        thread = threading.Thread(target=lambda: [][1])
        thread.start()
        thread.join()
        return 0

    assert run_program(body, lambda line, _: told.append(line)) == 0
    assert len(told) == 1
    assert told[0].startswith("unexpected error (IndexError: list index out of range)")


@pytest.mark.parametrize("level", ["info", "debug"])
def test_a_traceback_is_for_developers(
    level: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "build_config", lambda *_: failing(KeyError("x"))())
    assert cli.main(["--log-level", level]) == 2
    err = capfd.readouterr().err
    assert err.startswith("aac-stream: unexpected error (KeyError: 'x'); please report it")
    assert ("Traceback" in err) == (level == "debug")


@pytest.mark.parametrize(
    "command",
    ["aac-stream --dev mic", "aac-distill train x --dat y --out z", "aac-bench report --o x y"],
)
def test_abbreviated_options_are_refused(command: str) -> None:
    program, *arguments = command.split()
    done = shell(shlex.join(arguments), program)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


def test_subcommands_refuse_abbreviations_too() -> None:
    p = Parser(exit_on_error=False)
    command = p.add_subparsers().add_parser("run")
    command.add_argument("--verbose", action="store_true")
    assert isinstance(command, Parser)
    assert not command.allow_abbrev
    assert p.parse_args(["run", "--verbose"]) == argparse.Namespace(verbose=True)


SIGNAL_WHILE_IMPORTING = """
import os, signal, sys
class Sender:
    def find_spec(self, name, *_):
        if name == "numpy":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Sender())
from edge.process.start import aac_stream
sys.exit(aac_stream())
"""


def test_ctrl_c_while_packages_are_imported_is_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SIGNAL_WHILE_IMPORTING], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == -signal.SIGINT
    assert done.stderr == ""


def test_a_fault_of_the_program_ends_a_run_in_one_sentence() -> None:
    code = (
        "import sys; from edge.inference import backends; from edge.cli import main;"
        "backends.Backend.step = lambda *_: [][1]; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--device", str(SAMPLE), "--fast"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=180,
    )
    assert the_one_line(done) == (
        "aac-stream: unexpected error (IndexError: list index out of range); please report it, "
        "with the output of --log-level debug"
    )
