"""An output file is appended to only if it holds our own lines, and repaired only where they end.

Nothing of a foreign file is ever changed: no byte, not even a newline.
"""

from __future__ import annotations

import io
import json
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge.config import StreamConfig, build_config
from edge.errors import ConfigError, OutputError
from edge.inference.bundle import default_bundle
from edge.sinks.file_repair import KEYS, RECORD, RECORD_START
from edge.sinks.file_sink import FileSink
from edge.sinks.formats import make_format
from edge.sinks.targets import FORMATS
from edge.streaming.event_tracker import Event
from edge.streaming.pipeline import Caption
from edge.streaming.results import WindowResult
from tests.helpers import ROOT, SAMPLE, aac_stream, the_one_line
from tests.running import records

CONFIG = StreamConfig()
HEARD = WindowResult(
    'Bob\'s "room" {1}',
    Caption(0.0, 5.0, "caption", "a dog barks", 0.8, -20.0),
    (Event(1, 1.0, 2.0, "a dog barks", 0.8, open=True),),
)
LINES = {form: make_format(CONFIG, form).of(HEARD) for form in ("text", "jsonl", "events")}


def opened(path: Path, form: str) -> str:
    """What is in `path` once it has been opened as an output."""
    FileSink(CONFIG, form, str(path)).close()
    return path.read_bytes().decode()


@pytest.mark.parametrize("form", ["jsonl", "events"])
def test_what_is_taken_for_ours_is_what_is_written(form: str) -> None:
    line = LINES[form].encode()
    assert KEYS[form] <= json.loads(line).keys()
    assert RECORD.match(line)
    assert line.startswith(RECORD_START)


@pytest.mark.parametrize("form", ["text", "jsonl", "events"])
def test_our_own_lines_stay_as_they_are(tmp_path: Path, form: str) -> None:
    path = tmp_path / "out"
    for text in ("", LINES[form], 3 * LINES[form], 5000 * LINES[form]):
        path.write_text(text)
        assert opened(path, form) == text


@pytest.mark.parametrize("before", [0, 1, 5000])
@pytest.mark.parametrize("form", ["jsonl", "events"])
def test_half_a_record_is_cut_off_wherever_it_ends(
    tmp_path: Path,
    form: str,
    before: int,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger("edge"), "propagate", True)
    path = tmp_path / "out"
    line = LINES[form]
    # Without a line before, nobody knows whose the first few letters are.
    first = 1 if before else len('{"device": "Bob\'s \\"room\\" {1}", "at": ')
    for length in range(first, len(line) - 2, 7 if before > 1 else 1):
        path.write_text(before * line + line[:length])
        caplog.clear()
        assert opened(path, form) == before * line, length
        assert f"{path}: its last line was cut short, and is cut off: {length} bytes" in caplog.text
    path.write_text(before * line + line[:-1])  # nothing but the newline is missing
    assert opened(path, form) == (before + 1) * line


@pytest.mark.parametrize("before", [0, 1])
def test_half_a_line_of_text_is_ended(tmp_path: Path, before: int) -> None:
    path = tmp_path / "out"
    line = LINES["text"]
    assert line.startswith("00:01.0  a dog")
    for length in range(1 if before else len("00:01.0  "), len(line)):
        path.write_text(before * line + line[:length])
        assert opened(path, "text") == before * line + line[:length] + "\n"
        if length >= len("00:01.0  "):
            assert opened(path, "text") == path.read_text()


@pytest.mark.parametrize("form", ["text", "jsonl", "events"])
def test_zeros_that_a_power_cut_left_are_cut_off(tmp_path: Path, form: str) -> None:
    path, line = tmp_path / "out", LINES[form]
    path.write_text(9 * line + "\0" * 200_000)
    assert opened(path, form) == 9 * line
    path.write_text(9 * line + line[:20] + "\0" * 200_000)
    assert opened(path, form) == 9 * line + (line[:20] + "\n" if form == "text" else "")


def wave() -> bytes:
    """A quiet recording."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(32_000), 16_000, format="WAV")
    return file.getvalue()


FOREIGN = {
    "notes": b"milk\neggs\nand call",
    "one line": b"milk",
    "newline": b"\n",
    "yaml": b"device: mic\nhop_s: 2",
    "wav": wave(),
    "zeros": bytes(100_000),
    "json": b'{"name": "thing", "version": 1}',
    "json and newline": b'{"name": "thing"}\n',
    "json lines": b'{"device": "thermometer", "value": 2}\n{"device": "thermometer", "val',
    "json lines and zeros": b'{"a": 1}\n' + bytes(5000),
    "half a foreign record": b'{"device": "thermometer", "val',
    "a record of another program": b'{"device": "thermometer", "at": "2026-11-25", "value": 2}',
    "half of it": b'{"device": "thermometer", "at": "2026-11-25", "val',
    "a record that begins like ours": b'{"device": "a", "at": null, "start_s": 1, "number": 1}',
    "the beginning of anything": b"{",
    "pretty json": b'{\n  "device": "mic",\n  "at": null\n}\n',
    "list": b"[1, 2]\n",
    "deep": b"[" * 200_000,
    "long": b'{"device": "' + b"x" * 200_000,
    "ours, then another's": LINES["events"].encode() + LINES["jsonl"].encode() + b"milk\n",
    "ours, then half of another's": LINES["events"].encode() + b"milk",
    "ours, then another's record": LINES["events"].encode() + b'{"device": "a", "value": 2}',
    "ours, then half of that": LINES["events"].encode() + b'{"device": "a", "val',
    "another's, then ours": b"milk\n" + LINES["events"].encode(),
    "carriage returns": b"milk\r\neggs",
    "utf-16": "milk\n".encode("utf-16"),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_is_refused_and_not_changed(tmp_path: Path, form: str, name: str) -> None:
    path = tmp_path / "out"
    path.write_bytes(FOREIGN[name])
    with pytest.raises(OutputError, match=r"out: holds something .*choose another file$"):
        opened(path, form)
    assert path.read_bytes() == FOREIGN[name]


@pytest.mark.parametrize("form", ["text", "jsonl", "events"])
def test_lines_of_another_format_are_foreign(tmp_path: Path, form: str) -> None:
    path = tmp_path / "out"
    for other in LINES.keys() - {form}:
        path.write_text(LINES[other])
        with pytest.raises(OutputError, match=f"captions in the format {form!r}, and is left as"):
            opened(path, form)
        assert path.read_text() == LINES[other]


def test_a_file_that_is_put_in_place_of_the_output_is_checked_too(tmp_path: Path) -> None:
    path = tmp_path / "out"
    for form in FORMATS:
        path.unlink(missing_ok=True)
        output = FileSink(CONFIG, form, str(path))
        output.reopen()  # the same, still empty
        path.rename(tmp_path / "old")
        path.write_text("milk")
        with pytest.raises(OutputError, match="holds something"):
            output.reopen()
        assert path.read_text() == "milk"
        output.put("more\n")
        output.close()
        assert (tmp_path / "old").read_text().endswith("more\n")


def test_a_write_that_fails_cuts_off_nothing_of_another_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full after half a line, and something else was appended meanwhile."""
    path, write = tmp_path / "out", os.write

    def half(file: int, piece: bytes) -> int:
        if len(piece) < 10:
            raise OSError(28, "No space left on device")
        done = write(file, piece[:-9])
        with path.open("ab") as other:
            other.write(b"milk\n")
        return done

    output = FileSink(CONFIG, "text", str(path))
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", half)
        with pytest.raises(OutputError, match="make room there"):
            output.put("00:01.0  a dog barks\n")
    output.close()
    assert path.read_bytes() == b"00:01.0  a dmilk\n"


@pytest.mark.parametrize("form", FORMATS)
def test_a_disk_is_refused(form: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the system describes it: a test cannot have one to spare."""
    fstat = os.fstat

    def disk(file: int) -> os.stat_result:
        return os.stat_result((stat.S_IFBLK | 0o660, *fstat(file)[1:]))

    monkeypatch.setattr(os, "fstat", disk)
    with pytest.raises(OutputError, match="out: is a disk, not a file; choose another file"):
        FileSink(CONFIG, form, str(tmp_path / "out"))


# --- files that the run reads


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A folder with all that a run reads, and other names of it."""
    (tmp_path / "c.yaml").write_text("")
    (tmp_path / "secret.txt").write_text("")
    (tmp_path / "in.wav").write_bytes(b"")
    (tmp_path / "model").symlink_to(default_bundle())
    for path in list(tmp_path.iterdir()):
        (tmp_path / f"link-{path.name}").symlink_to(path.name)
        if path.is_file():
            (tmp_path / f"hard-{path.name}").hardlink_to(path)
    return tmp_path


@pytest.mark.parametrize("how", ["output", "also"])
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("name", "what"),
    [
        *((f"{kind}c.yaml", "the file of the settings") for kind in ("", "link-", "hard-", "./")),
        *((f"{kind}secret.txt", "the file of the password") for kind in ("", "link-", "hard-")),
        *((f"{kind}in.wav", "what is listened to") for kind in ("", "link-", "hard-")),
        *((f"{kind}/encoder.onnx", "a part of the model") for kind in ("model", "link-model")),
        ("model/manifest.json", "a part of the model"),
    ],
)
def test_an_output_is_no_file_that_the_run_reads(
    there: Path, how: str, form: str, name: str, what: str
) -> None:
    """Even if it is empty, and could be one by what it holds."""
    path = f"{there}/{name}"
    target = {"output": path, "format": form} if how == "output" else {"also": [f"{form}:{path}"]}
    given = {
        "device": f"party={there / 'in.wav'}",
        "mqtt_password_file": str(there / "secret.txt"),
        **target,
    }
    with pytest.raises(ConfigError) as caught:
        build_config(there / "c.yaml", given)
    assert str(caught.value) == f"{path}: is {what}, and must not be written; choose another file"


@pytest.mark.parametrize("url", ["file://", "file:"])
def test_the_input_may_be_a_url_of_a_file(there: Path, url: str) -> None:
    given = {"device": f"{url}{there / 'in.wav'}", "output": str(there / "in.wav")}
    with pytest.raises(ConfigError, match="is what is listened to"):
        build_config(None, given)


def test_two_names_of_a_file_are_one_output(there: Path) -> None:
    for name in ("link-secret.txt", "hard-secret.txt"):
        also = [f"jsonl:{there / name}"]
        with pytest.raises(ConfigError, match="is written already; choose another file"):
            StreamConfig(output=str(there / "secret.txt"), also=also)


def test_standard_input_and_output_are_files_too(tmp_path: Path) -> None:
    path = tmp_path / "in.raw"
    path.write_bytes(b"")

    def run(stdout: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        with path.open("rb") as stdin, open(stdout, "ab") as out:
            return subprocess.run(
                [sys.executable, "-m", "edge", "--device", "-", *arguments],
                stdin=stdin,
                stdout=out,
                stderr=subprocess.PIPE,
                cwd=ROOT,
                text=True,
            )

    done = run("/dev/null", "--output", str(path))
    assert done.stderr.endswith(
        "is what is listened to, and must not be written; choose another file\n"
    )
    done = run(str(path))
    assert "standard output: is what is listened to" in done.stderr
    done = run(str(tmp_path / "out"), "--also", f"events:{tmp_path / 'out'}")
    assert "out is written already; choose another file" in done.stderr
    assert (tmp_path / "out").read_bytes() == path.read_bytes() == b""


def test_a_run_leaves_foreign_files_and_its_own_as_they_are(tmp_path: Path) -> None:
    notes, config = tmp_path / "notes.txt", tmp_path / "c.yaml"
    notes.write_text("milk\neggs")
    config.write_text(f"device: {SAMPLE}\nfast: true\nformat: events")
    base = ("--config", str(config))
    for also in (notes, config):
        line = the_one_line(aac_stream(*base, "--output", str(also)))
        assert line.endswith("choose another file"), line
    assert notes.read_text() == "milk\neggs"
    assert config.read_text().endswith("format: events")
    out = tmp_path / "out"
    out.write_text(LINES["events"] + LINES["events"][:40])
    done = aac_stream(*base, "--output", str(out))
    assert f"{out}: its last line was cut short, and is cut off: 40 bytes" in done.stderr
    assert len(records(out)) > 1
    assert out.read_text().startswith(LINES["events"])
    whole = out.read_text()
    assert "cut short" not in aac_stream(*base, "--output", str(out)).stderr
    assert out.read_text().startswith(whole)
