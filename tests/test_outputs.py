"""Several files at once: each in its format, and what becomes of one is its own affair."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

import edge.sinks.worker
from edge.config import StreamConfig
from edge.errors import ConfigError, OutputError
from edge.sinks.file_sink import FileSink
from edge.sinks.targets import Target, targets_of
from edge.sinks.worker import SinkWorker
from edge.streaming.pipeline import Caption
from edge.streaming.results import WindowResult
from tests.helpers import SAMPLE, aac_stream, the_one_line, times
from tests.running import Running, blocked_in_a_pipe, records, running, until

OFTEN = ("--format", "jsonl", "--window-s", "1", "--hop-s", "0.25")
CONFIG = StreamConfig()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 15 s of the sample."""
    path = tmp_path_factory.mktemp("clip") / "clip.wav"
    samples, rate = soundfile.read(SAMPLE, stop=32_000 * 15, dtype="float32")
    soundfile.write(path, samples, rate)
    return path


def test_each_file_has_its_format_and_is_as_if_it_were_alone(clip: Path, tmp_path: Path) -> None:
    names = {form: tmp_path / f"out.{form}" for form in ("srt", "events", "jsonl", "vtt")}
    also = [f"--also={form}:{path}" for form, path in names.items()]
    main = ("--device", str(clip), "--fast")
    done = aac_stream(*main, *also)
    assert done.returncode == 0, done.stderr
    assert done.stdout == aac_stream(*main).stdout != ""
    for form, path in names.items():
        assert path.read_text() == aac_stream(*main, "--format", form).stdout != "", form


@pytest.mark.parametrize(
    ("also", "says"),
    [
        (["party.srt"], "also: 'party.srt' is not FORMAT:FILE, as 'srt:party.srt'"),
        (["srt:"], "also: 'srt:' is not FORMAT:FILE"),
        (["xml:party"], "also: 'xml' is not one of text, jsonl, events, srt, vtt"),
        (["text:./out.txt"], "also: ./out.txt is written already; choose another file"),
        (["srt:a", "vtt:b/../a"], "also: b/../a is written already; choose another file"),
        (["srt:-", "vtt:-"], "also: standard output is written already; choose another file"),
        (["srt:-", "vtt:/dev/stdout"], "also: standard output is written already"),
    ],
)
def test_what_is_not_right_is_one_line(also: list[str], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        StreamConfig(output="out.txt", also=also)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_subtitles_of_several_devices_are_refused() -> None:
    with pytest.raises(ConfigError, match="also: 'srt' is of one device, and there are several"):
        StreamConfig(device=["a=1", "b=2"], also=["srt:party.srt"])


def test_a_file_may_hold_a_colon_and_begin_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    targets = targets_of("text", None, ["jsonl:10:30.jsonl", "srt:~/a.srt"])
    assert targets == [
        Target("format: 'text'", "text", None),
        Target("also: 'jsonl'", "jsonl", "10:30.jsonl"),
        Target("also: 'srt'", "srt", "/somewhere/a.srt"),
    ]


def test_a_dash_is_standard_output(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="also: standard output is written already"):
        StreamConfig(also=["events:-"])
    assert targets_of("text", "-", [])[0].path is None
    out = tmp_path / "out.txt"
    main = ("--device", str(clip), "--fast")
    done = aac_stream(*main, "--output", str(out), "--also", "events:-")
    assert done.stdout == aac_stream(*main, "--format", "events", "--output", "-").stdout != ""
    assert out.read_text() == aac_stream(*main).stdout
    assert not (Path(__file__).parents[1] / "-").exists()


def test_one_that_cannot_be_opened_is_told_before_listening(clip: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "no" / "out.txt"
    line = the_one_line(aac_stream("--device", str(clip), f"--also=text:{nowhere}"))
    assert line.endswith(
        f"{nowhere}: cannot be written (No such file or directory); choose another file"
    )
    os.mkfifo(tmp_path / "fifo")
    line = the_one_line(aac_stream("--device", str(clip), f"--also=text:{tmp_path / 'fifo'}"))
    assert line.endswith("fifo: nobody reads this pipe; start what reads it")


def test_a_reload_opens_others(long: Path, tmp_path: Path) -> None:
    config, main, more = (tmp_path / name for name in ("c.yaml", "main.jsonl", "more.jsonl"))
    config.write_text("")
    arguments = (*OFTEN, "--device", str(long), "--output", str(main), "--config", str(config))
    with running(*arguments) as run:
        until(lambda: bool(records(main)), "a caption")
        config.write_text(f"also: [jsonl:{more}]\n")
        run.hup()
        run.told("settings read again: also changed")
        until(lambda: more.exists() and len(records(more)) > 2, "captions in both")
        config.write_text(f"also: [jsonl:{main}]\n")
        run.hup()
        assert "is written already" in run.told("the settings stay as they were")
        config.write_text("")
        run.hup()
        run.told("settings read again: also changed", times=2)
        end_well(run)
    told = records(main)
    assert records(more) == [caption for caption in told if caption in records(more)]


# --- faults


def end_well(run: Running) -> None:
    run.end()
    assert run.process.returncode == 0, run.err
    assert not times("Traceback", run.err)


def check_all_there(path: Path) -> None:
    """Each window of a run, in order."""
    ends = np.array([c["end_s"] for c in records(path)], float)
    assert np.diff(ends) == pytest.approx(np.full(len(ends) - 1, 0.25), abs=0.011)


@contextmanager
def reader_of(fifo: Path) -> Iterator[int]:
    """The reading end of a small pipe."""
    if not fifo.exists():
        os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    try:
        yield reader
    finally:
        os.close(reader)


def test_one_that_is_stuck_holds_up_nothing(long: Path, tmp_path: Path) -> None:
    fifo, out = tmp_path / "fifo", tmp_path / "out.jsonl"
    arguments = ("--device", str(long), *OFTEN, "--output", str(out), f"--also=jsonl:{fifo}")
    with reader_of(fifo) as reader, running(*arguments) as run:
        until(lambda: blocked_in_a_pipe(run.process.pid), "a blocked write")
        before = len(records(out))
        until(lambda: len(records(out)) >= before + 8, "captions in the file")
        run.hup()  # nor is a reload held up for long
        assert "fifo: takes nothing" in run.told("the settings stay as they were")
        before = len(records(out))
        until(lambda: len(records(out)) >= before + 4, "captions in the file")
        os.set_blocking(reader, True)
        got = b""
        while got.count(b"\n") < before:  # all of them, once somebody reads
            got += os.read(reader, 4096)
        end_well(run)
    check_all_there(out)
    lines = got.decode().splitlines()[:before]
    assert lines == out.read_text().splitlines()[:before]
    assert not times("windows skipped", run.err)


def test_a_disk_that_is_full_is_one_line_and_nothing_is_lost(long: Path, tmp_path: Path) -> None:
    """As a file that may not grow, for a while: half a line fits in."""
    out = tmp_path / "out.jsonl"
    with running("--device", str(long), *OFTEN, f"--also=jsonl:{out}") as run:
        until(lambda: len(records(out)) >= 2, "captions")
        limit = out.stat().st_size + 300
        may_grow_to(run, limit)
        run.told("out.jsonl: cannot be written (File too large); make room there")
        before = len(run.out)
        until(lambda: len(run.out) >= before + 8, "captions elsewhere")
        assert records(out)  # whole lines
        assert out.stat().st_size <= limit
        may_grow_to(run, resource.RLIM_INFINITY)
        run.told("out.jsonl: works again after")
        end_well(run)
    check_all_there(out)
    assert out.read_text().splitlines() == run.out
    assert times("cannot be written", run.err) == times("works again", run.err) == 1, run.err
    assert not times("lost", run.err)


def may_grow_to(run: Running, size: int) -> None:
    """The files of `run`, in bytes."""
    resource.prlimit(run.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def caption(number: int) -> WindowResult:
    return WindowResult(
        "mic", Caption(float(number), number + 1.0, "caption", "a dog barks", 0.5, -20.0)
    )


def test_a_failure_that_lasts_loses_the_oldest_and_says_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A pipe whose reader goes away, and comes back."""
    monkeypatch.setattr(edge.sinks.worker, "KEPT", 5)
    monkeypatch.setattr(logging.getLogger("edge"), "propagate", True)
    fifo = tmp_path / "fifo"
    with reader_of(fifo):
        outlet = SinkWorker(FileSink(CONFIG, "jsonl", str(fifo)), sources_wait=False)
    outlet.push(caption(0))
    until(lambda: "nobody reads this pipe" in caplog.text, "a warning")
    for number in range(1, 9):
        outlet.push(caption(number))
    assert caplog.text.count("has long taken nothing; the oldest is lost") == 1
    with reader_of(fifo) as reader:
        until(lambda: "works again after" in caplog.text, "the end of the failure")
        assert "3 captions are lost" in caplog.text
        outlet.close(timeout=5.0)
        lines = [json.loads(line) for line in os.read(reader, 4096).splitlines()]
    assert [line["start_s"] for line in lines] == [0.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    assert caplog.text.count("nobody reads") == 1


def test_what_is_left_at_the_end_is_told(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    with reader_of(fifo):
        outlet = SinkWorker(FileSink(CONFIG, "jsonl", str(fifo)), sources_wait=False)
    for number in range(3):
        outlet.push(caption(number))
    with pytest.raises(OutputError, match=r"fifo: (3 captions could|nobody reads)"):
        outlet.close(timeout=1.0)
