"""SIGHUP on real runs: settings are read again, the output is opened again, the clock goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.helpers import SAMPLE
from tests.pulse import PulseServer
from tests.running import Running, records, running, until


class Setup:
    """A configuration file that changes, and the output it names."""

    def __init__(self, folder: Path, device: Path | str) -> None:
        self.path, self.out = folder / "c.yaml", folder / "out.jsonl"
        self.values: dict[str, object] = {
            "device": str(device),
            "window_s": 1.0,
            "hop_s": 0.3,
            "format": "jsonl",
            "output": str(self.out),
        }
        self.write()

    def write(self, **values: object) -> None:
        self.values |= values
        self.path.write_text("".join(f"{key}: {value}\n" for key, value in self.values.items()))

    def more(self, path: Path | None = None, count: int = 3) -> list[dict[str, object]]:
        """The next `count` captions in `path`, whole lines all."""
        path = path or self.out
        before = _lines(path)
        until(lambda: _lines(path) >= before + count, f"captions in {path}")
        return records(path)[before : before + count]


def _lines(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0


@contextmanager
def started(setup: Setup, *arguments: str, env: dict[str, str] | None = None) -> Iterator[Running]:
    with running("--config", str(setup.path), *arguments, env=env) as run:
        setup.more()
        yield run
        run.end()
        assert run.process.returncode == 0, run.err
        assert "Traceback" not in "\n".join(run.err)


def test_settings_take_effect_and_no_window_is_missed(tmp_path: Path, long: Path) -> None:
    setup = Setup(tmp_path, long)
    with started(setup) as run:
        assert {c["state"] for c in setup.more()} == {"caption"}
        setup.write(min_confidence=1.0)
        run.hup()
        assert run.told("read again").endswith("settings read again: min_confidence changed")
        assert {c["state"] for c in setup.more()} == {"listening"}
        setup.write(quiet_db=0.0, log_level="warning")
        run.hup()
        until(lambda: setup.more(count=1)[0]["state"] == "quiet", "quiet")
        setup.write(log_level="info")
        run.hup()
        run.told("log_level changed")
    assert "quiet_db" not in "".join(run.err)  # info was not said then
    ends = np.array([c["end_s"] for c in records(setup.out)], float)
    # Only a late loop may have left some out, and counts them.
    assert np.diff(ends).min() == pytest.approx(0.3, abs=0.011)
    missed = round((ends[-1] - 1.0) / 0.3) + 1 - len(ends)
    assert missed == 0 or any("windows skipped" in line for line in run.err), (missed, run.err)


def test_output_and_format_change(tmp_path: Path, long: Path) -> None:
    setup = Setup(tmp_path, long)
    with started(setup) as run:
        text = tmp_path / "out.txt"
        setup.write(output=text, format="text")
        run.hup()
        until(lambda: _lines(text) >= 1, "text")
        before = setup.out.read_bytes()
        assert "]" in text.read_text()
        until(lambda: _lines(text) >= 2, "more text")
        assert setup.out.read_bytes() == before


def test_windows_change_and_the_clock_goes_on(tmp_path: Path, long: Path) -> None:
    setup = Setup(tmp_path, long)
    with started(setup) as run:
        last = float(str(setup.more()[-1]["end_s"]))
        setup.write(window_s=2.0, hop_s=0.5)
        run.hup()
        run.told("window_s, hop_s changed")
        new = setup.more(count=6)[2:]  # the first may be what the old windows ended with
    lengths = [float(str(c["end_s"])) - float(str(c["start_s"])) for c in new]
    assert lengths == pytest.approx([2.0] * len(new), abs=0.02)
    assert last < float(str(new[0]["start_s"])) < last + 10.0
    assert records(setup.out)[-1]["end_s"] == pytest.approx(_heard_s(run), abs=2.0)


def _heard_s(run: Running) -> float:
    return float(run.told("s heard").split(": ")[1].split()[0])


def test_a_file_that_was_moved_is_left_as_it_is(tmp_path: Path, long: Path) -> None:
    """What logrotate does; without --config too."""
    setup = Setup(tmp_path, long)
    arguments = [f"--{key.replace('_', '-')}={value}" for key, value in setup.values.items()]
    with running(*arguments) as run:
        setup.more()
        moved = setup.out.rename(tmp_path / "out.1")
        setup.more(moved)
        run.hup()
        run.told("settings read again: nothing changed")
        assert setup.more()
        kept = moved.read_bytes()
        setup.more()
        assert moved.read_bytes() == kept
        run.end()
    ends = np.array([c["end_s"] for c in records(moved) + records(setup.out)], float)
    assert np.all(np.diff(ends) > 0.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("min_confidence: [0.5", "c.yaml, line 2: is not valid YAML"),
        ("min_confidnce: 0.5", "c.yaml: unknown key 'min_confidnce'; did you mean"),
        ("min_confidence: 7", "c.yaml: min_confidence: 7 is not between 0 and 1"),
        ("\0\1\2", "c.yaml: is not valid YAML"),
        ("bundle: /nowhere", "/nowhere"),
        ("output: /nowhere/out", "/nowhere/out: cannot be written"),
        (None, "c.yaml: cannot be read"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_the_run_goes_on(
    tmp_path: Path, long: Path, text: str | None, says: str
) -> None:
    setup = Setup(tmp_path, long)
    with started(setup) as run:
        told = len(run.err)
        if text is None:
            setup.path.unlink()
        else:
            setup.path.write_text(text + "\n")
        moved = setup.out.rename(tmp_path / "out.1")
        run.hup()
        assert says in run.told("the settings stay as they were")
        assert setup.more()  # in a new file: logrotate does not ask whether settings are right
        assert len(run.err) == told + 1
        setup.write(min_confidence=1.0)
        run.hup()
        run.told("min_confidence changed")
        until(lambda: setup.more(count=1)[0]["state"] == "listening", "the new setting")
    assert records(moved)


def test_the_command_line_still_wins(tmp_path: Path, long: Path) -> None:
    setup = Setup(tmp_path, long)
    with started(setup, "--min-confidence", "1") as run:
        setup.write(min_confidence=0.0, quiet_db=-90.0)
        run.hup()
        run.told("settings read again: quiet_db changed")
        assert {c["state"] for c in setup.more()} == {"listening"}


def test_the_model_is_loaded_again_when_its_settings_change(tmp_path: Path, long: Path) -> None:
    setup = Setup(tmp_path, long)
    with started(setup, "--log-level", "debug") as run:
        run.told("loaded in")
        setup.write(beam=1)
        run.hup()
        run.told("beam changed")
        run.told("loaded in", times=2)
        setup.more()
        run.hup()
        run.told("nothing changed")
        assert sum("loaded in" in line for line in run.err) == 2


def test_another_device_goes_on_with_the_clock(tmp_path: Path, long: Path) -> None:
    setup = Setup(tmp_path, long)
    other = tmp_path / "other.wav"
    samples, rate = soundfile.read(SAMPLE, dtype="float32")
    soundfile.write(other, samples, rate)
    with started(setup) as run:
        began = time.monotonic()
        last = float(str(setup.more()[-1]["end_s"]))
        setup.write(device=other)
        run.hup()
        run.told("other.wav at 32000 Hz")
        after = setup.more(count=8)[-1]
        took_s = time.monotonic() - began
        assert last < float(str(after["end_s"])) < last + took_s + 1.0
        setup.write(device=tmp_path / "none.wav")
        run.hup()
        assert "none.wav: no such file" in run.told("the settings stay as they were")
        assert float(str(setup.more()[-1]["end_s"])) > float(str(after["end_s"]))
    ends = np.array([c["end_s"] for c in records(setup.out)], float)
    assert np.all(np.diff(ends) > 0.0)


@pytest.mark.parametrize("wrong", [{"channel": 5}, {"device": "nothing.wav"}, {"device": "-"}])
def test_a_run_listens_on_after_a_reload_that_cannot_be_undone(
    tmp_path: Path, long: Path, wrong: dict[str, object]
) -> None:
    """The new settings are refused, and the old file is no longer there to be opened again."""
    copy = tmp_path / "copy.flac"
    copy.write_bytes(long.read_bytes())
    setup = Setup(tmp_path, copy)
    with started(setup) as run:
        copy.unlink()
        setup.write(**wrong)
        run.hup()
        run.told("the settings stay as they were")
        setup.more()


def test_a_microphone_is_kept_if_the_new_one_cannot_be_opened(
    tmp_path: Path, pulse: PulseServer
) -> None:
    setup = Setup(tmp_path, "mic")
    with started(setup, env=pulse.env) as run:
        name = run.told("listening to").split("listening to ")[1]
        setup.write(device="kitchen", min_confidence=0.5)
        run.hup()
        assert "'kitchen'" in run.told("the settings stay as they were")
        run.told(f"listening to {name}", times=2)
        setup.more()
        setup.write(device="pulse")
        run.hup()
        run.told("device, min_confidence changed")
        setup.more()
    # The clock counts what was lost while no device was open, and says so.
    captions = records(setup.out)
    clock = np.array([c["start_s"] for c in captions], float)
    wall = np.array([str(c["at"]).rstrip("Z") for c in captions], "datetime64[ms]")
    passed_s = (wall[-1] - wall[0]) / np.timedelta64(1, "s")
    assert clock[-1] - clock[0] == pytest.approx(passed_s, abs=4.0)
    run.told("of audio lost")
