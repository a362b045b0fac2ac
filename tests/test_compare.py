"""What is said to have changed between two results: real changes, and neither noise nor machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.compare import compare
from benchmarks.ratios import ratio_of_rounds
from benchmarks.results import Machine, Measurement, Result, Setting, measurement

MACHINE = Machine(
    name="desk",
    cpu="AMD EPYC",
    cores=2,
    flags=["avx2"],
    memory_mb=8000,
    gpu="",
    system="Linux",
    python="3.11.7",
    packages={"numpy": "2.2.0", "onnxruntime": "1.22.0", "soxr": "0.5.0"},
    load=0.1,
)
WINDOW: Setting = {"window_s": 10, "beam": 3, "tokens": 20, "threads": 1}
SEEDS = range(6)
JITTER = 0.03  # of a round


def of(
    metric: str,
    rounds: Sequence[float],
    scenario: str = "window",
    setting: Setting = WINDOW,
    system: str = "int8/onnx",
) -> Measurement:
    return measurement(scenario, setting, system, metric, [[value] for value in rounds])


def reference(rounds: Sequence[float], setting: Setting = WINDOW) -> Measurement:
    return of("reference_ms", rounds, setting=setting, system="reference")


def result(*measurements: Measurement, made: str = "2026-01-01T12:00:00Z") -> Result:
    return Result(
        MACHINE,
        made,
        "0.1.0",
        ["run"],
        "sample.ogg",
        "",
        complete=True,
        measurements=[*measurements],
    )


def noisy(
    rng: np.random.Generator, value: float, rounds: int = 9, jitter: float = JITTER
) -> list[float]:
    return [float(x) for x in value * rng.normal(1.0, jitter, rounds)]


def rows(text: str) -> list[list[str]]:
    """The cells of each change, without the header."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [cells for cells in table if cells[-1] in ("worse", "better", "changed")]


def verdicts(text: str) -> dict[str, str]:
    return {cells[2]: cells[-1] for cells in rows(text)}


# --- Real changes and noise


@pytest.mark.parametrize("seed", SEEDS)
def test_a_real_change_is_found_and_said_to_be_worse_or_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = {"encoder_ms": 4.0, "rtf": 0.006, "audio_s_per_s": 150.0, "loop_tokens": 8.0}
    factors = {"encoder_ms": 1.2, "rtf": 1 / 1.2, "audio_s_per_s": 1.2, "loop_tokens": 1.2}
    a = result(*(of(name, noisy(rng, value)) for name, value in values.items()))
    b = result(*(of(name, noisy(rng, values[name] * f)) for name, f in factors.items()))
    assert verdicts(compare(a, b)) == {
        "encoder": "worse",
        "real-time factor": "better",
        "audio captioned, times real time": "better",
        "tokens a window": "changed",
    }
    assert verdicts(compare(b, a))["encoder"] == "better"
    assert verdicts(compare(b, a))["audio captioned, times real time"] == "worse"


@pytest.mark.parametrize("seed", SEEDS)
def test_the_interval_holds_the_true_ratio(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = result(of("whole_ms", noisy(rng, 10.0, 40)))
    (row,) = rows(compare(a, result(of("whole_ms", noisy(rng, 12.0, 40)))))
    ratio, interval = row[5].split(" times ")
    low, high = (float(end) for end in interval.strip("()").split(" to "))
    assert low <= float(ratio) <= high
    assert low - 0.02 < 1.2 < high + 0.02
    assert 0.005 < high - low < 0.06  # in theory 4 * 1.2 * 1.25 * sqrt(2 / 40) * JITTER = 0.04


@pytest.mark.parametrize("machine", [False, True])
def test_noise_alone_is_hardly_ever_reported(machine: bool) -> None:
    alarms = said = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        runs = []
        for _ in range(2):
            found = [of("whole_ms", noisy(rng, 10.0), system=f"s{i}") for i in range(5)]
            runs.append(result(*found, *([reference(noisy(rng, 5.0))] if machine else [])))
        text = compare(*runs)
        alarms += len(rows(text))
        said += "Nothing changed beyond noise." in text
        assert f"{5 - len(rows(text))} of 5 did not change beyond noise." in text
    assert alarms <= 7  # of 150; without the interval or without the margin it is more
    assert said >= 23


def test_a_sure_change_counts_only_above_the_margin() -> None:
    def after(factor: float) -> str:
        return compare(result(of("whole_ms", [10.0] * 5)), result(of("whole_ms", [factor] * 5)))

    assert rows(after(10.25)) == rows(after(9.75)) == []
    assert [row[-1] for row in rows(after(10.4)) + rows(after(9.6))] == ["worse", "better"]


def test_a_large_difference_within_noise_does_not_count() -> None:
    a, b = [10.0, 10.0, 16.0, 16.0, 10.0], [16.0, 10.0, 16.0, 10.0, 16.0]
    assert rows(compare(result(of("whole_ms", a)), result(of("whole_ms", b)))) == []


def test_a_result_is_as_itself_and_compared_the_same_each_time() -> None:
    rng = np.random.default_rng(0)
    systems = [f"s{i}" for i in range(20)]
    runs = []
    for value in (10.0, 13.0):
        found = [of("whole_ms", noisy(rng, value), system=name) for name in systems]
        runs.append(result(*found, reference(noisy(rng, 5.0))))
    a, b = runs
    assert "Nothing changed beyond noise.\n\n20 of 20 did not" in compare(a, a)
    assert len(rows(compare(a, b))) == 20
    assert compare(a, b) == compare(a, b)


# --- The machine itself


def slower(seed: int, factor: float, with_reference: bool) -> str:
    """The comparison with a machine that takes `factor` times as long."""
    rng = np.random.default_rng(seed)
    times = {"encoder_ms": 4.0, "cold_start_s": 0.2, "rtf": 0.006, "cpu_share": 0.1}
    jitter = 0.01  # so that the margin is far above noise, and it is the machine that is tested
    runs = []
    for pace in (1.0, factor):
        found = [of(name, noisy(rng, value * pace, jitter=jitter)) for name, value in times.items()]
        found.append(of("audio_s_per_s", noisy(rng, 150.0 / pace, jitter=jitter)))
        found.append(of("peak_mb", [100.0, 100.1, 100.2]))
        # It is the window that is waited for, whatever the machine.
        found.append(of("sound_to_caption_s", [3.1, 3.0, 3.2]))
        if with_reference:
            found.append(reference(noisy(rng, 5.0 * pace, jitter=jitter)))
        runs.append(result(*found))
    return compare(*runs)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_slower_machine_changes_nothing_if_the_reference_says_so(seed: int) -> None:
    text = slower(seed, 1.3, with_reference=True)
    assert rows(text) == []
    assert "7 of 7 did not change" in text
    (line,) = [line for line in text.splitlines() if "machine itself took" in line]
    ratio = float(line.split("took ")[1].split(" times as long in B.")[0])
    assert ratio == pytest.approx(1.3, abs=0.05)


def test_a_slower_machine_without_reference_is_a_change() -> None:
    text = slower(0, 1.3, with_reference=False)
    assert verdicts(text) == {
        "encoder": "worse",
        "cold start": "worse",
        "real-time factor": "worse",
        "CPU, of one core": "worse",
        "audio captioned, times real time": "worse",
    }
    assert "The reference did not run in both" in text
    assert "machine itself took" not in text


def test_a_change_is_found_beside_that_of_the_machine() -> None:
    a = result(of("encoder_ms", [4.0] * 5), of("whole_ms", [9.0] * 5), reference([5.0] * 5))
    b = result(of("encoder_ms", [5.0] * 5), of("whole_ms", [9.0] * 5), reference([6.25] * 5))
    (row,) = rows(compare(a, b))  # the encoder is slower as all is; only the whole is not
    assert row[2:] == ["whole window", "9.00 ms", "9.00 ms", "0.80 times (0.80 to 0.80)", "better"]


def test_a_reference_that_is_not_sure_widens_the_interval() -> None:
    a, b = [of("whole_ms", [10.0] * 5)], [of("whole_ms", [12.0] * 5)]
    unsure = [4.0, 6.0, 5.0, 4.0, 6.0]
    assert len(rows(compare(result(*a, reference([5] * 5)), result(*b, reference([5] * 5))))) == 1
    text = compare(result(*a, reference(unsure)), result(*b, reference(unsure)))
    assert "took 1.00 times as long" in text
    assert rows(text) == []


def test_a_reference_of_two_rounds_or_in_one_result_is_not_used() -> None:
    a, b = of("whole_ms", [10.0] * 5), of("whole_ms", [13.0] * 5)
    for first, second in (([5.0] * 5, [6.5] * 2), ([5.0] * 2, [6.5] * 5)):
        text = compare(result(a, reference(first)), result(b, reference(second)))
        assert "The reference did not run in both" in text
        assert len(rows(text)) == 1
    for runs in ((result(a, reference([5.0] * 5)), result(b)), (result(a), result(b))):
        text = compare(*runs)
        assert "The reference did not run in both" in text
        assert "Only in" not in text  # the reference is not a system


# --- Zeros, few rounds, sizes


def test_a_median_of_0_is_compared_by_difference() -> None:
    a = result(of("skipped_share", [0.0] * 5), of("growth_mb", [-0.01, 0.0, 0.01, 0.0, 0.0]))
    b = result(of("skipped_share", [0.04, 0.05, 0.06, 0.05, 0.05]), of("growth_mb", [0.4] * 5))
    by_metric = {row[2]: row[3:] for row in rows(compare(a, b))}
    share = by_metric["skipped windows"]
    assert share[:2] == ["0.0 %", "5.0 %"]
    assert share[2].startswith("+5.0 points (+4.0 to ")
    assert share[3] == "worse"
    growth = by_metric["growth over 1,000 windows"]
    assert growth[2].startswith("+0.40 MB (+0.39 MB to ")
    assert growth[3] == "worse"
    assert set(verdicts(compare(b, a)).values()) == {"better"}


def test_zeros_that_stay_and_differences_that_are_not_seen_are_no_change() -> None:
    a = result(of("skipped_share", [0.0] * 5), of("growth_mb", [0.0] * 5))
    b = result(of("skipped_share", [0.0] * 5), of("growth_mb", [0.001] * 5))
    assert "2 of 2 did not change" in compare(a, b)
    assert rows(compare(a, b)) == []


def test_growth_below_0_has_a_direction_too() -> None:
    a, b = result(of("growth_mb", [-0.5] * 5)), result(of("growth_mb", [-0.2] * 5))
    (row,) = rows(compare(a, b))
    assert row[3:] == ["-0.50 MB", "-0.20 MB", "+0.30 MB (+0.30 MB to +0.30 MB)", "worse"]


def test_too_few_rounds_are_said_to_be_too_few() -> None:
    a = result(of("cold_start_s", [0.2] * 2), of("peak_mb", [100.0]), of("rtf", [0.006] * 3))
    b = result(of("cold_start_s", [0.9] * 5), of("peak_mb", [300.0]), of("rtf", [0.009] * 3))
    text = compare(a, b)
    assert "Of 2, too few rounds to say: cold start, peak memory." in text
    assert "0 of 3 did not change" in text
    assert verdicts(text) == {"real-time factor": "worse"}


def test_a_size_has_changed_if_what_is_shown_differs() -> None:
    def grown(metric: str, before: float, after: float) -> list[list[str]]:
        return rows(compare(result(of(metric, [before])), result(of(metric, [after]))))

    assert grown("model_mb", 8.71, 8.74) == []
    ((*_, words, verdict),) = grown("model_mb", 8.7, 8.8)  # 1 %
    assert (words, verdict) == ("1.01 times", "worse")
    assert grown("install_mb", 120.0, 100.0)[0][-1] == "better"
    assert grown("clips_named", 0.866, 0.851)[0][-1] == "worse"
    assert grown("install_mb", 0.0, 7.0)[0][5] == "+7 MB"


# --- What is around the table


def test_worse_comes_first_and_the_largest_first() -> None:
    before = {"encoder_ms": 4.0, "whole_ms": 9.0, "token_ms": 0.2, "rtf": 0.006, "skipped_share": 0}
    after = {"encoder_ms": 4.4, "whole_ms": 18, "token_ms": 0.1, "rtf": 0.005, "skipped_share": 0.1}
    more = {"loop_tokens": (8.0, 9.0)}
    a = [of(name, [value] * 5) for name, value in before.items()]
    b = [of(name, [value] * 5) for name, value in after.items()]
    a += [of(name, [values[0]] * 5) for name, values in more.items()]
    b += [of(name, [values[1]] * 5) for name, values in more.items()]
    assert [(row[2], row[-1]) for row in rows(compare(result(*a), result(*b)))] == [
        ("skipped windows", "worse"),  # from nothing: there is nothing larger
        ("whole window", "worse"),
        ("encoder", "worse"),
        ("decoder, per token of all beams", "better"),
        ("real-time factor", "better"),
        ("tokens a window", "changed"),
    ]


def test_pairs_are_of_one_setting() -> None:
    two: Setting = {**WINDOW, "threads": 2}
    a = result(of("whole_ms", [10.0] * 5), of("whole_ms", [6.0] * 5, setting=two))
    b = result(of("whole_ms", [6.0] * 5, setting=two), of("whole_ms", [10.0] * 5))
    assert "2 of 2 did not change" in compare(a, b)
    assert rows(compare(a, b)) == []


def test_the_header_says_which_results_they_are() -> None:
    a = result(of("whole_ms", [10.0] * 5))
    b = replace(a, made="2026-02-02T12:00:00Z", code="0.2.0", complete=False)
    text = compare(a, b)
    assert "| machine | desk: AMD EPYC, 2 cores, Linux | desk: AMD EPYC, 2 cores, Linux |" in text
    assert "| code | 0.1.0 | 0.2.0 |" in text
    assert "| made | 2026-01-01T12:00:00Z | 2026-02-02T12:00:00Z (not complete) |" in text
    assert "Warning" not in text


def test_different_machines_are_warned_of() -> None:
    a = result(of("whole_ms", [10.0] * 5))
    packages = {"numpy": "2.2.0", "onnxruntime": "1.23.0", "openvino": "2025.0", "soxr": "1.0.0"}
    other = replace(MACHINE, cpu="Cortex-A72", cores=4, packages=packages, load=3.0)
    assert (
        "**Warning: the machines differ: cpu AMD EPYC and Cortex-A72; cores 2 and 4; "
        "onnxruntime 1.22.0 and 1.23.0; openvino none and 2025.0.**"
    ) in compare(a, replace(a, machine=other))
    assert "Warning" not in compare(a, replace(a, machine=replace(MACHINE, load=3.0)))


def test_what_only_one_holds_is_summed_up() -> None:
    both = of("whole_ms", [10.0] * 5)
    many = [of(name, [1.0] * 5, system="teacher") for name in ("whole_ms", "encoder_ms")]
    folder = [of("audio_s_per_s", [9.0] * 5, "folder", {}, s) for s in ("int8/onnx", "teacher")]
    more = [of(name, [6.0] * 5, setting={"threads": 2}) for name in ("whole_ms", "encoder_ms")]
    text = compare(result(both, *many, *folder), result(both, of("encoder_ms", [1.0] * 5), *more))
    assert "Only in A: the system teacher; the scenario folder." in text
    (line,) = [line for line in text.splitlines() if line.startswith("Only in B")]
    assert line.startswith("Only in B: encoder in window (beam=3, ")
    assert line.endswith("; window (threads=2).")
    assert "1 of 1 did not change" in text


def test_results_with_nothing_in_common_are_said_to_have_nothing_in_common() -> None:
    text = compare(result(of("whole_ms", [1.0] * 5)), result(of("rtf", [1.0] * 5, "stream", {})))
    assert "Nothing was measured in both." in text
    assert "did not change" not in text


# --- Ratios of rounds


def test_the_ratio_of_rounds_is_that_of_each_round() -> None:
    a, b = of("whole_ms", [2.0, 20.0, 6.0]), of("whole_ms", [1.0, 10.0, 2.0])
    assert ratio_of_rounds(a, b) == 2.0  # 2, 2, 3; of the medians it is 6 / 2
    assert ratio_of_rounds(b, a) == 0.5


def test_without_pairs_it_is_the_ratio_of_medians() -> None:
    assert ratio_of_rounds(of("rtf", [2.0, 20.0, 6.0]), of("rtf", [1.0, 2.0])) == 6.0 / 1.5


def test_the_reference_beside_a_system_is_its_own() -> None:
    """A machine may be slower in one half of a run than in the other."""
    loop: Setting = {"hop_s": 1.0, "threads": 1}

    def run(slow: float) -> Result:
        return result(
            of("whole_ms", [9.0, 9.1, 9.0, 8.9, 9.0]),
            reference([5.0, 5.0, 5.1, 5.0, 4.9]),
            of("loop_ms", [slow * 7.0] * 5, "stream", loop),
            of("reference_ms", [slow * 5.0] * 5, "stream", loop, "reference"),
        )

    text = compare(run(1.0), run(1.5))
    assert "Nothing changed beyond noise." in text
    assert "took 1.00 to 1.50 times as long" in text
