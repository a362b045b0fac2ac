"""Results are files: what was measured on one machine, as JSON of a fixed schema."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.metrics import METRICS
from edge.errors import AacStreamError

SCHEMA = "aac-stream-benchmark"
VERSION = 1
FILE = "result.json"

Setting = dict[str, float]  # of a scenario, for example {"threads": 1, "window_s": 10.0}
T = TypeVar("T")


class ResultError(AacStreamError):
    """A result file is missing, damaged or of another schema."""


@dataclass(frozen=True)
class Machine:
    """Where a result is from."""

    name: str  # what the report calls it
    cpu: str
    cores: int  # logical, that this process may use
    flags: list[str]  # instruction sets that matter here
    memory_mb: int
    gpu: str  # empty if there is none
    system: str
    python: str
    packages: dict[str, str]  # versions
    load: float  # average of a minute before the first measurement


@dataclass(frozen=True)
class SystemState:
    """A system that was to be measured."""

    name: str  # "int8/onnx"
    model: str  # what it is, in words
    runtime: str  # in words
    device: str  # "CPU", or the GPU's name
    speed_only: bool  # random weights: what it says is noise
    status: str = "ok"  # or "not installed", "not here", "failed"
    why: str = ""  # one line, where `status` is not "ok"


@dataclass(frozen=True)
class Measurement:
    """One metric of one system in one setting of a scenario."""

    scenario: str
    setting: Setting
    system: str
    metric: str
    rounds: list[float]  # the median of each round, in the order in which they were run
    count: int  # samples in all rounds
    median: float  # of all samples, and so are
    p95: float
    p99: float


@dataclass(frozen=True)
class Missing:
    """What was asked for and could not be measured."""

    scenario: str
    setting: Setting
    system: str
    why: str


@dataclass
class Result:
    """All of one run; `complete` only once everything that was asked for is measured."""

    machine: Machine
    made: str  # ISO 8601, UTC
    code: str  # version, and commit where there is one
    command: list[str]
    recording: str  # what the loop heard, by name
    corpus: str  # by name; empty if captions were compared on the recording
    complete: bool = False
    systems: list[SystemState] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of `values` do not exceed, between neighbours linearly."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def measurement(
    scenario: str, setting: Setting, system: str, metric: str, samples: list[list[float]]
) -> Measurement:
    """The measurement of `samples`, those of each round in a list of their own."""
    flat = [value for values in samples for value in values]
    return Measurement(
        scenario=scenario,
        setting=setting,
        system=system,
        metric=metric,
        rounds=[percentile(values, 0.5) for values in samples],
        count=len(flat),
        median=percentile(flat, 0.5),
        p95=percentile(flat, 0.95),
        p99=percentile(flat, 0.99),
    )


def write_result(result: Result, path: Path) -> None:
    """Write `result`; an older file at `path` is replaced at once or not at all.

    Raises: ResultError.
    """
    values = {"schema": SCHEMA, "version": VERSION, **asdict(result)}
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False)
        part.write_text(text + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise ResultError(f"{path}: cannot be written ({error.strerror})") from None


def read_result(path: Path) -> Result:
    """The result in the file `path`, or in `result.json` of the folder `path`.

    Raises: ResultError.
    """
    path = path / FILE if path.is_dir() else path
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultError(
            f"{path}: cannot be read ({error.strerror}); aac-bench run makes results"
        ) from None
    except ValueError:
        raise ResultError(f"{path}: is damaged; run aac-bench run again") from None
    schema = values.get("schema") if isinstance(values, dict) else None
    if schema != SCHEMA:
        raise ResultError(f"{path}: is of the schema {schema!r}, not a result of aac-bench run")
    if values.get("version") != VERSION:
        raise ResultError(
            f"{path}: has version {values.get('version')!r} of the schema, this program reads "
            f"version {VERSION}; run aac-bench run again, or use the aac-stream that made it"
        )
    try:
        if unknown := {item["metric"] for item in values["measurements"]} - METRICS.keys():
            raise KeyError(", ".join(sorted(unknown)))
        return Result(
            machine=_filled(Machine, values["machine"]),
            systems=[_filled(SystemState, item) for item in values["systems"]],
            measurements=[_filled(Measurement, item) for item in values["measurements"]],
            missing=[_filled(Missing, item) for item in values["missing"]],
            **{
                key: values[key]
                for key in ("made", "code", "command", "recording", "corpus", "complete")
            },
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ResultError(f"{path}: is damaged ({error}); run aac-bench run again") from None


def _filled(cls: type[T], values: dict[str, Any]) -> T:
    known = [item.name for item in fields(cls)]  # type: ignore[arg-type]
    return cls(**{name: values[name] for name in known})
