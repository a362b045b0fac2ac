"""The device package runs where the standard library lacks the names of POSIX, as on Windows."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.helpers import ROOT, SAMPLE
from tests.running import running, until

PYTHON = (sys.executable, "tests/without_posix.py")


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [*PYTHON, *arguments], input=stdin, capture_output=True, cwd=ROOT, timeout=180
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


def test_a_file_is_captioned_to_standard_output() -> None:
    done = run("--device", str(SAMPLE), "--fast")
    assert done.returncode == 0, done.stderr
    assert b"a rooster crows" in done.stdout


def test_captions_are_appended_to_a_file(tmp_path: Path) -> None:
    """The second run looks at what the first one has written."""
    out, other = tmp_path / "out.jsonl", tmp_path / "out.txt"
    arguments = ("--device", str(SAMPLE), "--fast", "--format", "jsonl", "--output", str(out))
    for _ in range(2):
        assert run(*arguments, "--also", f"text:{other}").returncode == 0
    lines = [json.loads(line) for line in out.read_bytes().split(b"\n")[:-1]]
    assert len(lines) > 100
    assert b"\r" not in out.read_bytes() + other.read_bytes()


def test_every_other_sink_works(tmp_path: Path) -> None:
    told = tmp_path / "told"
    command = [sys.executable, "-c", f"open({str(told)!r}, 'a').write('.')"]
    config = tmp_path / "c.yaml"
    config.write_text(json.dumps({"command": command}))
    kept = ("--keep-audio", "1", "--keep-folder", str(tmp_path / "kept"))
    done = run("--device", str(SAMPLE), "--fast", "--config", str(config), *kept)
    assert done.returncode == 0, done.stderr
    assert told.read_text()
    assert list((tmp_path / "kept").glob("*.flac"))


def test_the_page_is_served(long: Path) -> None:
    with running("--device", str(long), "--serve", "127.0.0.1:0", python=PYTHON) as page:
        url = page.told("page on http://").partition("page on ")[2]
        with urllib.request.urlopen(f"{url}health", timeout=60) as answer:
            assert json.load(answer)["status"] == "ok"
        until(lambda: bool(page.out), "a caption")


def test_standard_input_is_captioned() -> None:
    import soundfile

    samples, rate = soundfile.read(SAMPLE, stop=32_000 * 8, dtype="int16")
    arguments = ("--device", "-", "--rate", str(rate), "--fast", "--format", "jsonl")
    assert b"rooster" in run(*arguments, stdin=samples.tobytes()).stdout
    assert run("--list-devices").returncode == 0


def test_ctrl_c_ends_it(long: Path) -> None:
    with running("--device", str(long), "--hop-s", "0.5", python=PYTHON) as run:
        until(lambda: bool(run.out), "a caption")
        run.end(signal.SIGINT)
        assert run.process.returncode == 0
        assert "windows, real-time factor" in run.err[-1]
