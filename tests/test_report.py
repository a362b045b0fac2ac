"""The report says what was measured, all of it and nothing else."""

from __future__ import annotations

import csv
import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from benchmarks.report import write_report
from benchmarks.report.reading import Limit, Sweep, machine_names, microphone_limit, varied
from benchmarks.results import (
    Machine,
    Missing,
    Result,
    ResultError,
    Setting,
    SystemState,
    measurement,
)

INT8, FP32, PAPER, CUDA = "int8/onnx", "fp32/onnx", "paper/torch", "fp32/cuda"
SPEED = {INT8: 1.0, FP32: 2.0, PAPER: 40.0}  # times int8's
SVG = "{http://www.w3.org/2000/svg}"
VOID = {"meta", "br", "hr", "img", "link", "input"}


def made_up(name: str = "a desk", slow: float = 1.0) -> Result:
    """A complete result of three systems, and of a fourth that is not there."""
    result = Result(
        Machine(
            name, "A CPU", 4, ["avx2", "avx512_vnni"], 16_000, "", "Linux", "3.11.7",
            {"numpy": "2.1.0", "onnxruntime": "1.20.1"}, 0.12,
        ),
        made="2026-03-01T10:00:00Z",
        code="0.1.0 (1234abc)",
        command=["aac-bench", "run"],
        recording="sample.ogg",
        corpus="",
        complete=True,
        systems=[
            SystemState(INT8, "the one that ships", "ONNX Runtime", "CPU", False),
            SystemState(FP32, "the same, fp32", "ONNX Runtime", "CPU", False),
            SystemState(PAPER, "published", "PyTorch", "CPU", True),
            SystemState(CUDA, "fp32", "PyTorch", "GPU", False, "not here", "there is no GPU"),
        ],
    )  # fmt: skip
    for system, factor in SPEED.items():
        for threads in (1, 4):
            _window(result, "window", (10, 3, threads), system, slow * factor)
        for setting in [(5, 3, 1), (10, 3, 1), (30, 3, 1), (10, 1, 1), (10, 5, 1), (10, 3, 4)]:
            _window(result, "scaling", setting, system, slow * factor)
        add(result, "start", {"threads": 1}, system, cold_start_s=0.2 * factor)
        for hop_s in (0.5, 1.0, 2.0):
            _loop(result, hop_s, system, slow * factor)
        add(
            result, "live", {"hop_s": 1.0}, system, cpu_share=0.01 * factor, delay_ms=9 * factor,
            sound_to_caption_s=2.1, sounds_named=0.8, skipped_share=0.0,
        )  # fmt: skip
        add(result, "batch", {"workers": 1}, system, audio_s_per_s=150 / factor)
        add(result, "memory", {}, system, peak_mb=99 * factor)
        add(result, "size", {}, system, model_mb=8.7 * factor, install_mb=140 * factor)
        for count in (1, 4, 16, 64):
            late = 0.4 if count * factor > 100 else 0.0
            add(result, "microphones", {"microphones": count}, system, skipped_share=late)
    add(result, "memory", {}, INT8, growth_mb=0.31)
    add(result, "quality", {}, FP32, same_captions=1.0, event_recall=0.42)
    return result


def _window(
    result: Result, scenario: str, setting: tuple[int, int, int], system: str, factor: float
) -> None:
    window_s, beam, threads = setting
    keys: Setting = {"window_s": window_s, "beam": beam, "tokens": 20, "threads": threads}
    encoder, token = 0.4 * factor * window_s / threads, 0.1 * factor * beam
    add(
        result, scenario, keys, system, features_ms=0.3, encoder_ms=encoder, token_ms=token,
        whole_ms=0.3 + encoder + 20 * token,
    )  # fmt: skip


def _loop(result: Result, hop_s: float, system: str, factor: float) -> None:
    parts = {"features": 0.3, "encoder": 3.0 * factor, "decoder": 2.0 * factor, "search": 0.2}
    values = {f"loop_{part}_ms": value for part, value in parts.items()} | {"loop_rest_ms": 0.1}
    total = sum(values.values())
    add(
        result, "stream", {"hop_s": hop_s, "threads": 1}, system, rtf=total / hop_s / 1e3,
        loop_ms=total, loop_tokens=7.5, **values,
    )  # fmt: skip


def add(result: Result, scenario: str, setting: Setting, system: str, **medians: float) -> None:
    for metric, value in medians.items():
        samples = [[value * drift * x for x in (0.9, 1.0, 1.1)] for drift in (0.95, 1.0, 1.05)]
        result.measurements.append(measurement(scenario, setting, system, metric, samples))


class Page(HTMLParser):
    """What a browser sees; fails if an element is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, attribute: str) -> list[str]:
        return [attrs[attribute] or "" for _, attrs in self.tags if attribute in attrs]


def texts(results: list[Result], out: Path) -> tuple[str, str]:
    """The report of `results`, as Markdown and as HTML."""
    write_report(results, out)
    markdown, html = ((out / f"report.{kind}").read_text("utf-8") for kind in ("md", "html"))
    return markdown, html


def rows(markdown: str, heading: str) -> dict[str, list[str]]:
    """The first table below `heading`, by the first cell."""
    lines = markdown[markdown.index(f"{heading}\n") :].splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("|"))
    end = next(i for i in range(begin, len(lines)) if not lines[i].startswith("|"))
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines[begin:end]]
    return {row[0]: row[1:] for row in cells}


def without_plots(result: Result) -> Result:
    """As much of `result` as can be reported without matplotlib."""
    kept = [m for m in result.measurements if m.scenario in ("window", "memory", "quality")]
    return replace(result, measurements=kept)


def test_the_window_table_has_figures_ratios_and_reasons(tmp_path: Path) -> None:
    result = without_plots(made_up())
    of_int8, of_fp32 = (
        next(
            m
            for m in result.measurements
            if (m.system, m.metric, m.setting.get("threads")) == (system, "whole_ms", 1)
        )
        for system in (INT8, FP32)
    )
    # Within each round it takes three times as long, whatever the medians of all samples are.
    noisy = replace(of_fp32, rounds=[3 * value for value in of_int8.rounds])
    place = result.measurements.index(of_fp32)
    result.measurements[place] = noisy
    add(result, "window", noisy.setting, "reference", reference_ms=5.0)  # is no row
    markdown, html = texts([result], tmp_path)
    found = rows(markdown, "### Window of 10 s, 3 beams, 20 tokens, 1 thread")
    assert found["system"][-4:] == [
        "whole window",
        "whole, p95",
        "whole, p99",
        f"as long as {INT8}",
    ]
    whole = f"{of_int8.median:.2f} ms"
    assert found[INT8][3:] == [whole, f"{of_int8.p95:.2f} ms", f"{of_int8.p99:.2f} ms", "x 1.0"]
    assert found[FP32][-1] == "3.00 times"
    assert noisy.median / of_int8.median < 2.0
    assert list(found)[2:] == [INT8, FP32, f"{PAPER} (speed only)", CUDA]
    assert found[f"{PAPER} (speed only)"][-1] == "38.9 times"
    assert found[CUDA] == ["not here: there is no GPU", *[""] * 6]
    assert '<td class="instead" colspan="7">not here: there is no GPU</td>' in html
    assert "### Window of 10 s, 3 beams, 20 tokens, 4 threads\n" in markdown
    assert rows(markdown, "## Not measured")[CUDA] == ["all", "", "not here: there is no GPU"]


def test_what_is_random_is_called_so(tmp_path: Path) -> None:
    result = without_plots(made_up())
    add(result, "quality", {}, PAPER, same_captions=0.123)
    markdown, _ = texts([result], tmp_path)
    assert f"| {PAPER} (speed only) | 0." in markdown
    assert f"| {INT8} (speed only)" not in markdown
    assert "Speed only: the weights are random" in markdown
    assert rows(markdown, "## Captions")[f"{PAPER} (speed only)"] == ["noise", "–"]
    assert "12.3 %" not in markdown


def test_a_partial_result_says_so_on_top(tmp_path: Path) -> None:
    result = without_plots(made_up())
    missing = [
        Missing("window", {"threads": 2}, FP32, "out of memory"),
        Missing("live", {}, INT8, "stopped"),
    ]
    for complete in (True, False):
        partial = replace(result, complete=complete, missing=missing)
        markdown, html = texts([partial], tmp_path)
        assert ("**This result is partial" in markdown.split("##")[0]) != complete
        assert ("This result is partial" in html.split("<nav")[0]) != complete
    listed = markdown[markdown.index("## Not measured") :]
    assert f"| {FP32} | window | 2 threads | out of memory |" in listed
    assert f"| {INT8} | live |  | stopped |" in listed


def test_a_setting_that_one_system_lacks_says_why(tmp_path: Path) -> None:
    result = without_plots(made_up())
    kept = [m for m in result.measurements if m.system != FP32 or m.setting.get("threads") != 4]
    setting: Setting = {"window_s": 10, "beam": 3, "tokens": 20, "threads": 4}
    missing = [Missing("window", setting, FP32, "it hangs")]
    markdown, _ = texts([replace(result, measurements=kept, missing=missing)], tmp_path)
    found = rows(markdown, "### Window of 10 s, 3 beams, 20 tokens, 4 threads")
    assert found[FP32][0] == "not measured: it hangs"
    markdown, _ = texts([replace(result, measurements=kept)], tmp_path)
    found = rows(markdown, "### Window of 10 s, 3 beams, 20 tokens, 4 threads")
    assert found[FP32][0] == "not measured"
    kept = [m for m in result.measurements if (m.system, m.metric) != (FP32, "features_ms")]
    markdown, _ = texts([replace(result, measurements=kept)], tmp_path)
    found = rows(markdown, "### Window of 10 s, 3 beams, 20 tokens, 4 threads")
    assert found[FP32][0] == "–"
    assert found[FP32][3].endswith(" ms")


def test_an_empty_result_is_a_report_without_figures(tmp_path: Path) -> None:
    result = replace(made_up(), measurements=[], complete=False)
    paths = write_report([result], tmp_path)
    assert [path.name for path in paths] == ["report.md", "report.html", "report.csv"]
    markdown, html = texts([result], tmp_path)
    assert "**Nothing was measured on a desk.**" in markdown
    assert re.findall(r"\d (?:ms|MB|%)", markdown) == ["0 MB"]  # of the machine's memory
    assert [line for line in markdown.splitlines() if line.startswith("## ")] == [
        "## Not measured", "## The systems", "## The machines",
    ]  # fmt: skip
    Page(html)
    assert len((tmp_path / "report.csv").read_text(encoding="utf-8").splitlines()) == 1


def test_the_csv_has_every_measurement(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    results = [made_up("a"), made_up("b", 3.0)]
    write_report(results, tmp_path)
    with (tmp_path / "report.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    measured = [(r.machine.name, m) for r in results for m in r.measurements]
    assert len(found) == len(measured)
    for row, (machine, m) in zip(found, measured, strict=True):
        assert (row["machine"], row["scenario"], row["system"], row["metric"]) == (
            machine, m.scenario, m.system, m.metric,
        )  # fmt: skip
        keys = ("window_s", "beam", "tokens", "threads", "hop_s", "workers", "microphones")
        assert {key: float(row[key]) for key in keys if row[key]} == m.setting
        figures = [float(row[key]) for key in ("median", "p95", "p99", "rounds", "count")]
        assert figures == [m.median, m.p95, m.p99, 3, 9]
        assert row["speed_only"] == ("true" if m.system == PAPER else "false")
        assert row["unit"] == ("ms" if m.metric.endswith("_ms") else row["unit"])
    assert {row["model"] for row in found if row["system"] == INT8} == {"the one that ships"}


def test_the_page_is_whole_and_loads_nothing(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    _, html = texts([made_up()], tmp_path)
    page = Page(html)
    assert ("html", {"lang": "en"}) in page.tags
    loaded = page.all("src") + page.all("href") + page.all("xlink:href")
    loaded += re.findall(r"url\(([^)]*)\)", html)
    assert loaded
    assert [target for target in loaded if not target.startswith("#")] == []
    assert not {"script", "link", "iframe", "img"} & {tag for tag, _ in page.tags}
    assert "@import" not in html
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    assert {target[1:] for target in loaded} <= set(ids)
    drawn = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert len(drawn) == len(list(tmp_path.glob("*.svg"))) > 0
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in drawn)
    assert {attrs.get("scope") for tag, attrs in page.tags if tag == "th"} == {"col", "row"}


def test_names_from_outside_stay_names(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    evil = '<script>alert("1")</script> | $x^2$ \x1b[0m\ud800 <!-- ]]> & '
    result = made_up(evil)
    result.systems[3] = replace(result.systems[3], why=evil)
    result.systems.append(SystemState(evil, evil, evil, evil, False))
    for hop_s in (0.5, 1.0):
        _loop(result, hop_s, evil, 1.0)
    markdown, html = texts([result, made_up()], tmp_path)
    tags = {tag for tag, _ in Page(html).tags}
    assert "table" in tags
    assert "script" not in tags
    _, alone = texts([without_plots(result)], tmp_path / "alone")
    for page in (html, alone):
        assert "&lt;script&gt;alert" in page
        assert "<script" not in page
    assert "<script" not in re.sub(r"\\<", "", markdown)
    assert "\x1b" not in html + markdown
    for path in tmp_path.glob("*.svg"):
        assert ET.parse(path).getroot().tag == f"{SVG}svg"
    legend = ET.parse(tmp_path / next(p.name for p in tmp_path.glob("1-*rtf*.svg")))
    assert any("$x^2$" in (text.text or "") for text in legend.iter(f"{SVG}text"))


def test_the_plots_have_a_line_for_each_system(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    paths = write_report([made_up()], tmp_path)
    drawn = {path.stem: ET.parse(path) for path in paths if path.suffix == ".svg"}
    lines = {
        name: [g for g in tree.iter(f"{SVG}g") if "-line-" in g.get("id", "")]
        for name, tree in drawn.items()
    }
    # Whole window by its length, beams and threads; encoder by length; and the other two.
    assert sorted(name for name in lines if lines[name]) == [
        "microphones-1", "rtf-1", "scaling-1", "scaling-2", "scaling-3", "scaling-4",
    ]  # fmt: skip
    assert {len(found) for found in lines.values() if found} == {len(SPEED)}
    colours = {
        tuple(re.findall(r"stroke: (#\w+)", ET.tostring(g, "unicode"))[0] for g in found)
        for found in lines.values()
        if found
    }
    assert len(colours) == 1  # the same in every plot
    assert len(set(colours.pop())) == len(SPEED)
    bars = [g for g in drawn["loop-1"].iter(f"{SVG}g") if "-bar-" in g.get("id", "")]
    assert len(bars) == 5 * len(SPEED)
    assert any(g.get("id") == "rtf-1-limit" for g in drawn["rtf-1"].iter(f"{SVG}g"))


def test_what_varies_is_found_in_the_data() -> None:
    base = {"window_s": 10.0, "beam": 3.0, "threads": 1.0}
    found = varied([base, base | {"beam": 1.0}, base | {"window_s": 5.0}, base | {"window_s": 2.0}])
    assert found == [
        Sweep("window_s", [2.0, 5.0, 10.0], {"beam": 3.0, "threads": 1.0}),
        Sweep("beam", [1.0, 3.0], {"window_s": 10.0, "threads": 1.0}),
    ]
    assert varied([base]) == []
    assert varied([{"new": 1.0}, {"new": 2.0}]) == [Sweep("new", [1.0, 2.0], {})]


def test_where_the_time_of_a_window_goes(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    markdown, _ = texts([made_up()], tmp_path)
    heading = "### Where the time of a window goes; 1 thread, a window each 1 s"
    found = rows(markdown, heading)
    assert found["system"][0] == "all of the loop"
    assert found[INT8][:3] == ["5.60 ms", "0.30 ms (5 %)", "3.00 ms (54 %)"]
    assert found[INT8][-1] == "7.5"  # tokens


@pytest.mark.parametrize(
    ("skipped", "limit"),
    [
        ({1: 0.0, 2: 0.005, 4: 0.2}, Limit(2, 4)),
        ({1: 0.0, 2: 0.0}, Limit(2, None)),
        ({1: 0.01}, Limit(None, 1)),
        ({4: 0.0, 1: 0.0, 2: 0.3}, Limit(1, 2)),  # 4 was luck
    ],
)
def test_the_limit_of_microphones(skipped: dict[int, float], limit: Limit) -> None:
    assert microphone_limit(skipped) == limit


def test_the_table_of_microphones(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = made_up()
    add(result, "microphones", {"microphones": 1}, "hopeless", skipped_share=0.5)
    markdown, _ = texts([result], tmp_path)
    found = rows(markdown, "## Several microphones")
    assert found[INT8] == ["64", "more than 64"]
    assert found[FP32] == ["16", "64"]
    assert found[f"{PAPER} (speed only)"] == ["1", "4"]
    assert found["hopeless"] == ["fewer than 1", "1"]


def test_the_track_has_a_row_for_each_setting(tmp_path: Path) -> None:
    result = without_plots(made_up())
    for evidence_s, share in ((0.8, 0.25), (1.3, 0.5)):
        setting: Setting = {"window_s": 5.0, "hop_s": 1.0, "evidence_s": evidence_s}
        add(result, "track", setting, INT8, events_true=share, lines_per_minute=5.0)
    markdown, _ = texts([result], tmp_path)
    found = rows(markdown, "## The caption track")
    first = "Window of 5 s, a window each 1 s, evidence of 0.8 s"
    assert found[first] == ["–", "–", "25.0 %", "–", "–", "5.0", "–"]
    assert sum(name.startswith("Window of 5 s") for name in found) == 2


def test_machines_meet_in_one_table(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    slow = made_up("a board", slow=10.0)
    slow.measurements = [
        m
        for m in slow.measurements
        if m.scenario != "memory" and (m.scenario, m.setting.get("threads")) != ("window", 1)
    ]
    markdown, html = texts([made_up(), slow], tmp_path)
    glance = markdown[markdown.index("## At a glance") : markdown.index("## One window")]
    table = [line.strip("| ").split(" | ") for line in glance.splitlines() if "|" in line]
    titles = ("system", "machine", "whole window", "real-time factor", "peak memory")
    places = [table[0].index(title) for title in titles]
    assert [[row[i] for i in places] for row in table if row[0] == INT8] == [
        ["int8/onnx", "a desk", "10.30 ms", "0.0056", "99 MB"],
        ["int8/onnx", "a board", "70.30 ms (4 threads)", "0.0506", "–"],
    ]
    assert "### a desk: Window of 10 s" in markdown
    assert "### a board: Window of 10 s" in markdown
    assert re.search(r'<th scope="col"[^>]*>a desk</th><th scope="col"[^>]*>a board</th>', html)
    assert len(list(tmp_path.glob("1-a-desk-*.svg"))) == len(list(tmp_path.glob("2-a-board-*.svg")))


def test_machines_of_one_name_are_told_apart() -> None:
    first = made_up()
    later = replace(first, made="2026-03-02T10:00:00Z")
    assert machine_names([first, later]) == ["a desk, 2026-03-01", "a desk, 2026-03-02"]
    assert machine_names([first, made_up("b")]) == ["a desk", "b"]
    assert len(set(machine_names([first, first, later, later]))) == 4


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    found = []
    for folder in ("one", "two"):
        paths = write_report([made_up(), made_up("b")], tmp_path / folder)
        found.append({path.name: path.read_bytes() for path in paths})
    assert found[0] == found[1]
    assert len(found[0]) == 3 + 2 * 7


def test_no_scenario_is_needed(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    whole = made_up()
    for scenario in {m.scenario for m in whole.measurements}:
        kept = [m for m in whole.measurements if m.scenario == scenario]
        _, html = texts([replace(whole, measurements=kept)], tmp_path)
        Page(html)
    for m in whole.measurements:
        texts([replace(whole, measurements=[m])], tmp_path)


def test_bad_places_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ResultError, match=re.escape(str(out))) as caught:
            write_report([without_plots(made_up())], out)
        assert len(str(caught.value).splitlines()) == 1


def test_without_matplotlib_it_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ResultError, match=re.escape("pip install 'aac-stream[bench]'")):
        write_report([made_up()], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert write_report([without_plots(made_up())], tmp_path / "out")
