"""`aac-bench soak`: it accounts for every frame, sees the faults it is for, and can be ended."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks import soak as soaking
from benchmarks.cli import main
from benchmarks.scenarios.memory import held_mb
from benchmarks.shelf import CHANNELS, RATES, Shelf
from benchmarks.shelf_source import ShelfSource
from benchmarks.soak import Soak, soak
from edge.audio.ring_buffer import Block, RingBuffer
from edge.config import StreamConfig
from edge.inference.bundle import default_bundle, load_bundle
from edge.inference.captioner import Captioner, Description, load_captioner
from edge.inference.features import Floats
from tests.helpers import ROOT

RATE = 32_000
SEED = 3


class Deaf(Captioner):
    """Says the same of every window, at once."""

    def __init__(self) -> None:
        super().__init__(load_bundle(default_bundle()), None)  # type: ignore[arg-type]

    def describe(self, features: Floats) -> Description:
        assert len(features)
        return Description("rain falls", 0.9, quiet=False)


def shelf(seed: int = SEED) -> Shelf:
    noise = np.random.default_rng(0).standard_normal(3 * RATE, np.float32)
    return Shelf([0.1 * noise, 0.1 * noise[:777]], RATE, seed)


def short(source: ShelfSource, captioner: Captioner | None = None) -> Soak:
    return soak(source, captioner or Deaf(), StreamConfig())


def test_the_shelf_is_the_same_for_a_seed_and_of_every_sort_in_an_hour() -> None:
    devices = list(shelf().devices(3600.0))
    assert devices == list(shelf().devices(3600.0))
    assert devices != list(shelf(4).devices(3600.0))
    assert sum(d.frames / d.rate for d in devices) == pytest.approx(3600.0, abs=0.01)
    assert len({(d.rate, d.channels) for d in devices}) == len(RATES) * len(CHANNELS)
    device = next(shelf().devices(60.0))
    one, two = (np.concatenate([piece.copy() for piece in shelf().audio(device)]) for _ in range(2))
    assert one.shape == (device.frames, device.channels)
    np.testing.assert_array_equal(one, two)
    assert 0.0 < np.abs(one).max() <= 1.0


def test_each_kind_of_sound_is_there() -> None:
    peaks = []
    for device in shelf().devices(400.0):
        for piece in shelf().audio(device):
            peaks.append(float(np.abs(piece).max()))
    assert min(peaks) == 0.0  # silence
    assert any(0.0 < peak < 1e-3 for peak in peaks)  # a hiss
    assert max(peaks) > 0.5  # what is clipped


def test_a_short_soak_accounts_for_every_frame() -> None:
    found = short(ShelfSource(shelf(), 180.0, SEED), load_captioner())
    count, stats = found.count, found.stats
    assert found.missed() == []
    assert (count.stray, count.altered) == (0, 0)
    assert count.made_s == pytest.approx(180.0, abs=0.01)
    assert count.devices > 3
    assert count.gaps > count.devices  # rings ran over, too
    assert stats.lost_s == pytest.approx(count.lost_s)
    assert stats.windows == sum(found.states.values()) > 100
    assert not found.stopped


class Faulty(RingBuffer):
    """Once does to a block what `fault` says."""

    fault = ""

    def read(self, most: int | None = None) -> Block:
        block = super().read(most)
        samples, fault = block.samples, Faulty.fault
        if len(samples) < 1000 or not fault:
            return block
        Faulty.fault = ""
        if fault == "lose":
            return Block(samples[1:], block.lost)
        if fault == "double":
            return Block(np.concatenate([samples[:1], samples]), block.lost)
        if fault == "move":
            return Block(np.concatenate([samples[500:], samples[:500]]), block.lost)
        return Block(samples, block.lost + 1)


@pytest.mark.parametrize("fault", ["lose", "double", "move", "tell"])
def test_a_ring_that_errs_by_one_frame_is_caught(fault: str) -> None:
    Faulty.fault = fault
    found = short(ShelfSource(shelf(), 60.0, SEED, ring=Faulty))
    assert Faulty.fault == ""
    assert any("the ring" in why for why in found.missed())
    assert "MISSED: the ring" in soaking.lines(found)[-1]


class Leaky(ShelfSource):
    """Loses a frame between the ring and the loop."""

    def blocks(self) -> Iterator[Block]:
        whole = True
        for block in super().blocks():
            cut = whole and len(block.samples) > 1000
            yield Block(block.samples[cut:], block.lost)
            whole = whole and not cut


def test_a_frame_that_the_loop_does_not_get_is_caught() -> None:
    (why,) = short(Leaky(shelf(), 60.0, SEED)).missed()
    assert why.startswith("the loop's clock is off by -0.0000")


def test_windows_that_are_missing_doubled_or_skipped_are_caught() -> None:
    found = short(ShelfSource(shelf(), 60.0, SEED))
    assert found.missed() == []
    assert any("no window" in why for why in replace(found, heard_s=found.heard_s / 2).missed())
    assert any("no window" in why for why in replace(found, heard_s=found.heard_s * 2).missed())
    assert replace(found, backwards=1).missed() == ["1 windows are out of order"]
    stats = replace(found.stats, skipped_windows=2)
    assert replace(found, stats=stats).missed() == ["2 windows were skipped"]


def test_a_leak_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Floats] = []

    class Hoarder(Deaf):
        def describe(self, features: Floats) -> Description:
            kept.append(np.ones(100_000, np.float32))
            return super().describe(features)

    monkeypatch.setattr(soaking, "SETTLED_S", 40.0)
    if held_mb() is None:
        pytest.skip("this system does not say how much memory a process holds")
    (why,) = short(ShelfSource(shelf(), 180.0, SEED), Hoarder()).missed()
    assert "memory grew by" in why


def test_a_fault_of_the_device_ends_the_soak() -> None:
    class Broken(Shelf):
        def audio(self, device: object) -> Iterator[Floats]:
            raise ValueError(device)

    broken = Broken([np.ones(9, np.float32)], RATE, SEED)
    with pytest.raises(ValueError, match="Device"):
        short(ShelfSource(broken, 60.0, SEED))


def test_the_command_prints_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "a.wav", np.ones(1600) * 0.1, 16_000)
    with open(tmp_path / "clips.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "kind", "source", "licence", "split"])
        table.writerow(["a.wav", "Bark", "event", "made up", "CC0", "train"])
    assert main(["soak", "--hours", "0.02", "--corpus", str(tmp_path)]) == 0
    rows = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert rows["audio"].strip().startswith("0.02 h from ")
    assert rows["aims"].strip() == "all met"


def test_ctrl_c_ends_it_in_order() -> None:
    command = [sys.executable, "-m", "benchmarks", "soak", "--hours", "900"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        assert process.stderr.read(5).strip() == "soak"  # from then on it ends in order
        time.sleep(2.0)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60.0)
    finally:
        process.kill()
    assert process.returncode == 130, out
    assert "Traceback" not in err
    assert "(stopped by Ctrl-C)" in out
    assert out.splitlines()[-1].split("  ", 1)[1].strip() == "all met"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--hours", "0"], "hours: 0 is not between"),
        (["--hours", "nan"], "hours: nan is not between"),
        (["--hop-s", "9"], "hop_s: 9 is not between"),
        (["--window-s", "0"], "window_s: 0 is not between"),
        (["--corpus", "nowhere"], "clips.csv: no such file"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["soak", *arguments]) == 2
    err = capsys.readouterr().err
    assert why in err
    assert len(err.splitlines()) == 1
