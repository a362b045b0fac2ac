"""One run: every scenario, its systems in turn; the result file is valid at any moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from benchmarks.options import Options
from benchmarks.plan import Scenario
from benchmarks.processes import Worker, WorkerError
from benchmarks.results import Missing, Result, Setting, SystemState, measurement, write_result
from benchmarks.systems import REFERENCE, RUNTIMES, System
from benchmarks.worker import Samples

T = TypeVar("T")
STATUS = {"NotInstalledError": "not installed", "NotHereError": "not here"}
TRUTH = "fp32/torch"  # its captions are what the others' are compared with

# By system and metric, the samples of each round.
Found = dict[str, dict[str, list[list[Any]]]]


def state(system: System, gpu: str) -> SystemState:
    """How a result describes `system` before anything is known of it."""
    device = gpu if system.device == "cuda" and gpu else system.device.upper()
    runtime = RUNTIMES[system.runtime]
    return SystemState(system.name, system.model, runtime, device, system.speed_only)


@dataclass
class Run:
    """Measures `systems` into `result`, which is written to `path` after every setting."""

    systems: Sequence[System]
    options: Options
    result: Result
    path: Path
    _over: set[tuple[str, str]] = field(default_factory=set)  # scenarios that are over for one

    def measure(self, scenarios: Sequence[Scenario]) -> None:
        """All of `scenarios`.

        Raises: ResultError if the result cannot be written.
        """
        write_result(self.result, self.path)
        for scenario in scenarios:
            for setting in scenario.settings:
                systems = [s for s in self.systems if scenario.of(s) and self._usable(s, scenario)]
                if scenario.paced:
                    systems.append(REFERENCE)
                measure = self._fresh if scenario.fresh else self._in_turn
                self._keep(scenario, setting, measure(scenario, setting, systems))
                write_result(self.result, self.path)
        self.result.complete = True
        write_result(self.result, self.path)

    def _usable(self, system: System, scenario: Scenario) -> bool:
        status = next(s.status for s in self.result.systems if s.name == system.name)
        return status == "ok" and (scenario.name, system.name) not in self._over

    def _in_turn(self, scenario: Scenario, setting: Setting, systems: list[System]) -> Found:
        """A process for each system, and in every round a turn for each."""
        found: Found = {}
        with ExitStack() as stack, _progress(scenario, setting, systems) as progress:
            workers: dict[System, Worker] = {}
            for system in systems:
                progress.set_postfix_str(f"loading {system.name}")
                worker = stack.enter_context(self._worker(system, scenario, setting))
                if self._tried(scenario, setting, system, worker.ready):
                    workers[system] = worker
            for number in range(scenario.rounds):
                for system in _rotated(list(workers), number):
                    progress.set_postfix_str(system.name)
                    samples = self._tried(scenario, setting, system, workers[system].round)
                    if samples is None:
                        del workers[system]
                    else:
                        _add(found, system, samples)
                    progress.update()
        return found

    def _fresh(self, scenario: Scenario, setting: Setting, systems: list[System]) -> Found:
        """A new process for every round of every system."""
        found: Found = {}
        left = list(systems)
        with _progress(scenario, setting, systems) as progress:
            # The first start fills caches, the disk's and the runtimes': it does not count.
            for number in range(-1, scenario.rounds):
                for system in _rotated(left, number):
                    progress.set_postfix_str(system.name)
                    samples = None
                    with self._worker(system, scenario, setting) as worker:
                        if self._tried(scenario, setting, system, worker.ready):
                            samples = self._tried(scenario, setting, system, worker.round)
                    if samples is None:
                        left.remove(system)
                    elif number >= 0:
                        _add(found, system, samples)
                        progress.update()
        return found

    def _worker(self, system: System, scenario: Scenario, setting: Setting) -> Worker:
        return Worker(system, scenario.module(system), setting, self.options)

    def _tried(
        self, scenario: Scenario, setting: Setting, system: System, call: Callable[[], T]
    ) -> T | None:
        """What `call` returns; None, and a note of why in the result, if it fails."""
        try:
            return call()
        except WorkerError as error:
            self._over.add((scenario.name, system.name))
            self._note(scenario, setting, system, error)
            return None

    def _note(
        self, scenario: Scenario, setting: Setting, system: System, error: WorkerError
    ) -> None:
        status = STATUS.get(error.kind)
        if status is None:
            missing = Missing(scenario.name, setting, system.name, str(error))
            self.result.missing.append(missing)
            return
        for place, known in enumerate(self.result.systems):
            if known.name == system.name:
                self.result.systems[place] = replace(known, status=status, why=str(error))

    def _keep(self, scenario: Scenario, setting: Setting, found: Found) -> None:
        """Put what a setting's rounds found into the result."""
        truth = found.get(TRUTH, {}).get("texts")
        for system, metrics in found.items():
            texts = metrics.pop("texts", None)
            if texts and truth:
                pairs = zip(texts[0], truth[0], strict=True)
                metrics["same_captions"] = [[sum(a == b for a, b in pairs) / len(truth[0])]]
            for metric, samples in metrics.items():
                taken = measurement(scenario.name, setting, system, metric, samples)
                self.result.measurements.append(taken)
                if scenario.ends(taken):
                    self._over.add((scenario.name, system))


def _add(found: Found, system: System, samples: Samples) -> None:
    for metric, values in samples.items():
        found.setdefault(system.name, {}).setdefault(metric, []).append(values)


def _rotated(systems: list[System], number: int) -> list[System]:
    """Who comes after the slowest finds the caches empty: not always the same."""
    start = number % len(systems) if systems else 0
    return systems[start:] + systems[:start]


def _progress(scenario: Scenario, setting: Setting, systems: list[System]) -> tqdm[Any]:
    of = ", ".join(f"{key} {value:g}" for key, value in setting.items())
    label = f"{scenario.name} ({of})" if of else scenario.name
    return tqdm(total=len(systems) * scenario.rounds, desc=label, leave=False)
