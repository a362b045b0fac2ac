"""A process of its own for one system in one setting of a scenario.

It is told a `Job` on the first line of its standard input, and answers with one line of JSON to it
and to every line after it: the parent calls for one round at a time, so that the rounds of several
systems alternate.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import IO, Any

from benchmarks.options import Options
from benchmarks.results import Setting
from benchmarks.systems import System
from edge.errors import AacStreamError

# Per metric, the samples of one round; under "texts", the captions, to compare them with others'.
Samples = dict[str, list[Any]]


@dataclass(frozen=True)
class Job:
    """What a worker measures."""

    system: System
    scenario: str  # a module of `benchmarks.scenarios`, with `begin(job)`
    setting: Setting
    options: Options
    spawned: float  # time.time() at which the process was started

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Job:
        """The job of `to_json`."""
        values = json.loads(line)
        system, options = System(**values.pop("system")), Options(**values.pop("options"))
        return cls(system, options=options, **values)


def main() -> None:
    """Answer the parent until it closes our input."""
    # What libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    job = Job.from_json(sys.stdin.readline())
    measure = _answer(answers, lambda: _begin(job), lambda _: {"ready": True})
    for _ in sys.stdin:
        if measure is None or _answer(answers, measure, lambda found: {"samples": found}) is None:
            return


def _begin(job: Job) -> Callable[[], Samples]:
    scenario = importlib.import_module(f"benchmarks.scenarios.{job.scenario}")
    begin: Callable[[Job], Callable[[], Samples]] = scenario.begin
    return begin(job)


def _answer(answers: IO[str], call: Callable[[], Any], said: Callable[[Any], Any]) -> Any:
    """Write what `said` makes of the result of `call`, or why there is none; returns the result."""
    result = None
    try:
        result = call()
        answer = said(result)
    except Exception as error:  # also what runtimes raise: the parent goes on with the others
        known = isinstance(error, AacStreamError)
        if not known:
            traceback.print_exc()
        why = str(error) if known else f"{type(error).__name__}: {error}"
        answer = {"error": type(error).__name__, "why": " ".join(why.split())[:300]}
    print(json.dumps(answer), file=answers, flush=True)
    return result
