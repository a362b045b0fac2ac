"""The README's headline table, and putting it there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.headline import END, MARK, START, headline, update
from benchmarks.results import (
    Machine,
    Measurement,
    Missing,
    Result,
    ResultError,
    Setting,
    SystemState,
    measurement,
    read_result,
)
from tests.helpers import ROOT

MACHINE = Machine(
    name="desk",
    cpu="AMD EPYC",
    cores=2,
    flags=[],
    memory_mb=8000,
    gpu="",
    system="Linux",
    python="3.11.7",
    packages={},
    load=0.1,
)
WINDOW: Setting = {"window_s": 10, "beam": 3, "tokens": 20, "threads": 1}
GPU_MISSING = SystemState(
    "teacher-cuda", "teacher", "PyTorch, eager", "CUDA", True, "not here", "no NVIDIA GPU"
)


def whole(system: str, rounds: list[float], setting: Setting = WINDOW) -> Measurement:
    return measurement("window", setting, system, "whole_ms", [[value] for value in rounds])


def state(name: str, speed_only: bool = False, device: str = "CPU") -> SystemState:
    return SystemState(name, "a model", "a runtime", device, speed_only)


SHIPS = whole("int8/onnx", [10.0, 20.0, 10.0, 10.0, 40.0])
TEACHER = whole("teacher", [2000.0, 4000.0, 2000.0, 4400.0, 8000.0])


def result(*measurements: Measurement, systems: list[SystemState] | None = None) -> Result:
    made = "2026-01-01T12:00:00Z"
    return Result(
        MACHINE, made, "0.1.0", ["run"], "sample.ogg", "", True, systems or [], [*measurements]
    )


def rows(text: str) -> dict[str, list[str]]:
    """The cells after the name of each system."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    table = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]
    return {cells[0]: cells[1:] for cells in table[2:]}


# --- The table


def test_the_line_above_says_the_conditions() -> None:
    line, blank, header, *_ = headline(result(SHIPS)).splitlines()
    assert line == (
        "AMD EPYC (2 cores), Linux, Python 3.11.7. "
        "Windows of 10 s, 20 tokens, beam 3, 1 thread, 5 rounds; medians."
    )
    assert not blank
    assert header.startswith("| system |")


def test_systems_are_named_in_order_and_compared_with_the_one_that_ships() -> None:
    systems = [state("teacher", True), state("published", True), state("int8/onnx")]
    found = [
        TEACHER,
        whole("published", [30.0] * 5),
        whole("fp32/torch", [25.0] * 5),
        whole("fp32/onnx", [15.0] * 5),
        whole("int8/openvino", [9.0] * 5),
        SHIPS,
    ]
    text = headline(result(*found, systems=systems))
    assert rows(text) == {
        "the student that ships (int8, ONNX Runtime)": ["10.00 ms", "1"],
        "the same student in fp32 (ONNX Runtime)": ["15.00 ms", "1.50"],
        "the same student in eager PyTorch (fp32)": ["25.00 ms", "2.50"],
        f"the paper's published student, in its own eager code{MARK}": ["30.00 ms", "3.00"],
        f"the teacher (HTSAT + BART){MARK}": ["4000.00 ms", "200.0"],
    }
    assert next(iter(rows(text))).startswith("the student that ships")
    assert [line for line in text.splitlines() if line.startswith(MARK)] == [text.splitlines()[-1]]


def test_ratios_are_of_rounds_and_not_of_medians() -> None:
    text = headline(result(SHIPS, TEACHER))
    cells = rows(text)["the teacher (HTSAT + BART)"]
    assert cells == ["4000.00 ms", "200.0"]
    assert TEACHER.median / SHIPS.median == 400.0  # a slow machine in rounds 2 and 5 only


def test_without_a_system_of_speed_only_there_is_no_footnote() -> None:
    assert MARK not in headline(result(SHIPS, TEACHER, systems=[state("teacher")]))


def test_only_the_setting_of_the_student_on_one_thread_counts() -> None:
    two: Setting = {**WINDOW, "threads": 2}
    short: Setting = {**WINDOW, "window_s": 5}
    found = [
        whole("int8/onnx", [7.0] * 5, two),
        whole("int8/onnx", [5.0] * 5, short),
        whole("fp32/onnx", [8.0] * 5, two),
        SHIPS,
        TEACHER,
    ]
    text = headline(result(*found))
    assert "Windows of 10 s" in text  # of which there is more than the student
    assert list(rows(text)) == [
        "the student that ships (int8, ONNX Runtime)",
        "the teacher (HTSAT + BART)",
    ]
    with pytest.raises(ResultError, match="no window of int8/onnx on 1 thread"):
        headline(result(found[0], TEACHER))


def test_other_scenarios_and_metrics_are_not_taken() -> None:
    other = replace(whole("fp32/onnx", [1.0] * 5), scenario="stream")
    encoder = replace(whole("fp32/torch", [1.0] * 5), metric="encoder_ms")
    assert len(rows(headline(result(other, encoder, SHIPS)))) == 1


# --- The GPU


def test_without_a_gpu_in_the_result_there_is_no_row() -> None:
    assert "GPU" not in headline(result(SHIPS, TEACHER))


def test_a_gpu_that_was_not_there_says_why() -> None:
    text = headline(result(SHIPS, systems=[GPU_MISSING]))
    row = rows(text)[f"the teacher (HTSAT + BART) on a GPU{MARK}"]
    assert row == ["not measured: no NVIDIA GPU", ""]
    text = headline(result(SHIPS, systems=[replace(GPU_MISSING, why="")]))
    assert "| not measured: not here |" in text


def test_a_gpu_that_failed_has_no_figures_and_keeps_the_table_whole() -> None:
    failed = replace(GPU_MISSING, status="failed", why="a | b")
    text = headline(result(SHIPS, whole("teacher-cuda", [1.0]), systems=[failed]))
    assert all(len(cells) == 2 for cells in rows(text).values())
    assert "not measured: a / b" in text


def test_a_gpu_without_a_measurement_takes_the_reason_of_what_is_missing() -> None:
    gpu = state("teacher-cuda", True, "NVIDIA H100")
    held = result(SHIPS, systems=[gpu])
    assert "not measured: not in this run" in headline(held)
    held.missing.append(Missing("window", WINDOW, "teacher-cuda", "out of memory"))
    assert "not measured: out of memory" in headline(held)


@pytest.mark.parametrize("threads", [1, 16])
def test_a_gpu_has_figures(threads: int) -> None:
    gpu = whole("teacher-cuda", [5.0, 10.0, 5.0, 5.0, 20.0], {**WINDOW, "threads": threads})
    text = headline(result(SHIPS, gpu, systems=[state("teacher-cuda", True, "NVIDIA H100")]))
    row = rows(text)[f"the teacher (HTSAT + BART) on a GPU (NVIDIA H100){MARK}"]
    assert row == ["5.00 ms", "0.50"]


# --- Putting it into a file


def page(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "README.md"
    path.write_bytes(text.encode())
    return path


def test_the_text_between_the_markers_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    path = page(tmp_path, f"# A\r\n\n{START}\nold\n{END} after\nµ\n")
    assert update(path, "| new |\n")
    expected = f"# A\r\n\n{START}\n| new |\n{END} after\nµ\n"
    assert path.read_bytes().decode() == expected
    assert [file.name for file in tmp_path.iterdir()] == ["README.md"]


def test_the_second_time_changes_nothing(tmp_path: Path) -> None:
    path = page(tmp_path, f"{START}{END}\n")
    assert update(path, headline(result(SHIPS)))
    before = path.stat()
    assert not update(path, headline(result(SHIPS)))
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert update(path, headline(result(SHIPS, TEACHER)))


@pytest.mark.parametrize(
    "text",
    [
        "# no markers\n",
        f"{START}\n",
        f"{END}\n",
        f"{END}\n{START}\n",
        f"{START}\n{START}\n{END}\n",
        f"{START}\n{END}\n{START}\n{END}\n",
        f"{START}\n{END}\n{END}\n",
        f"{END}\n{START}\n{END}\n",
    ],
)
def test_a_file_without_each_marker_once_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    path = page(tmp_path, text)
    with pytest.raises(ResultError, match=r"README\.md: must hold"):
        update(path, "new")
    assert path.read_bytes().decode() == text


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"none\.md: cannot be read"):
        update(tmp_path / "none.md", "new")
    path = tmp_path / "README.md"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ResultError, match=r"README\.md: cannot be read"):
        update(path, "new")


def test_a_file_that_cannot_be_written_is_kept(tmp_path: Path) -> None:
    path = page(tmp_path, f"{START}\nold\n{END}\n")
    (tmp_path / "README.md.part").mkdir()
    with pytest.raises(ResultError, match=r"README\.md: cannot be written"):
        update(path, "new")
    assert "old" in path.read_text()


# --- What a device notices


def test_a_device_sees_its_hop_and_not_another() -> None:
    def one(scenario: str, setting: Setting, metric: str, value: float) -> Measurement:
        return measurement(scenario, setting, "int8/onnx", metric, [[value]])

    found = [
        one("stream", {"hop_s": 0.5, "threads": 1}, "rtf", 0.5),
        one("stream", {"hop_s": 1.0, "threads": 1}, "rtf", 0.25),
        one("memory", WINDOW, "peak_mb", 99.0),
    ]
    text = headline(result(SHIPS, *found))
    assert "| a window each second | real-time factor | peak memory |" in text
    assert "| the student that ships (int8, ONNX Runtime) | 0.2500 | 99 MB |" in text
    assert "| the same student in fp32 (ONNX Runtime) | – | – |" in text
    assert "a window each second" not in headline(result(SHIPS))


def test_the_readme_holds_what_the_committed_result_says() -> None:
    committed = headline(read_result(ROOT / "docs" / "benchmark" / "two-server-cores.json"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{START}\n{committed}\n{END}" in readme
