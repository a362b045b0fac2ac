"""The cost of the loop is measured in processes of their own; no test looks at the times."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from benchmarks.cli import main
from benchmarks.stream import Run, report
from edge.bundle import default_bundle
from tests.helpers import SAMPLE


def test_a_run_prints_a_row_with_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples, rate = soundfile.read(SAMPLE, stop=32_000 * 8, dtype="float32")
    soundfile.write(tmp_path / "a.wav", samples, rate)
    assert main(["stream", str(tmp_path / "a.wav"), "--repeats", "1"]) == 0
    out = capsys.readouterr().out
    assert "Medians of 1 runs, 8 s of audio, a window each 1 s, 1 thread(s)." in out
    row = next(line for line in out.splitlines() if line.startswith("| int8 |"))
    figures = [float(cell.split()[0]) for cell in row.strip("| ").split("|")[1:]]
    assert len(figures) == 6
    assert all(figure > 0 for figure in figures)


def test_the_report_takes_medians() -> None:
    runs = [Run(t, 60.0, 57, t / 10, 10 * t, t, 100 * t) for t in (1.0, 9.0, 2.0)]
    assert "| x | 5.0 MB | 2.00 s | 20.0 ms | 2.00 ms | 0.2000 | 200 MB |" in report(
        {"x": runs}, {"x": 5.0}, 1.0, 1
    )


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([str(tmp_path / "none.wav")], [str(SAMPLE), str(tmp_path)]):
        assert main(["stream", *arguments]) == 2
        err = capsys.readouterr().err
        assert str(tmp_path) in err
        assert len(err.splitlines()) == 1


def test_variants_are_compared_on_every_backend(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openvino")
    folder = str(default_bundle())
    assert main(["variants", folder, "--corpus", str(corpus), "--scenes", "4"]) == 0
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("| int8")
    ]
    assert [row[:2] for row in rows] == [["int8", "onnx"], ["int8", "openvino"]]
    for row in rows:
        assert all(float(cell.split()[0]) > 0.0 for cell in row[2:5])
        assert all(0.0 <= float(cell.rstrip("%")) <= 100.0 for cell in row[5:])
    assert rows[0][5] == "100.0%"
