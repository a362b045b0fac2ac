"""What `aac-bench run` does: find the systems, check what was asked for, measure."""

from __future__ import annotations

import argparse
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.machine import code, machine
from benchmarks.options import Options
from benchmarks.plan import scenarios
from benchmarks.results import Result, SystemState
from benchmarks.run import Run, state
from benchmarks.systems import (
    CHECKPOINT,
    GRAPH_RUNTIMES,
    RUNTIMES,
    System,
    in_pytorch,
    of_before,
    of_bundles,
)
from edge.errors import AacStreamError, BundleError
from edge.inference.bundle import default_bundle

MADE = tuple(f"fp32/{runtime}" for runtime in GRAPH_RUNTIMES)  # if they are asked for


def measure(args: argparse.Namespace, arguments: list[str], path: Path) -> None:
    """Measure what `args` asks for into `path`.

    Raises: AacStreamError if something is not there.
    """
    _check(args)
    with TemporaryDirectory(prefix="aac-bench-") as folder:
        systems, absent = _systems(args, Path(folder))
        known = [system.name for system in systems] + [one.name for one in absent]
        wanted = args.system or known
        if unknown := [name for name in wanted if name not in known]:
            raise AacStreamError(f"{unknown[0]}: no such system; there are {', '.join(known)}")
        systems = [system for system in systems if system.name in wanted]
        here = machine(args.name)
        states = [state(system, here.gpu) for system in systems]
        result = Result(
            machine=here,
            made=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            code=code(),
            command=["aac-bench", *arguments],
            recording=args.recording.name,
            corpus=args.corpus.resolve().name if args.corpus else "",
            systems=[*states, *(one for one in absent if one.name in wanted)],
        )
        options = Options(
            recording=str(args.recording),
            folder=str(args.folder or ""),
            corpus=str(args.corpus or ""),
            scenes=args.scenes,
        )
        chosen = [
            s
            for s in scenarios(args.rounds, args.scenes if args.corpus else 0)
            if s.name in (args.scenario or [s.name])
        ]
        Run(systems, options, result, path).measure(chosen)


def _check(args: argparse.Namespace) -> None:
    """Raises: AacStreamError where a path that is named is not what it should be."""
    for folder in filter(None, (args.folder, args.corpus, args.before)):
        if not folder.is_dir():
            raise AacStreamError(f"{folder}: no such folder")
    if args.before and not (args.before / "edge" / "__init__.py").exists():
        raise AacStreamError(f"{args.before}: is not a checkout of aac-stream")
    if not args.recording.exists():
        raise AacStreamError(f"{args.recording}: no such file; name one with --recording")
    try:
        from edge.audio.file import FileSource
    except ModuleNotFoundError:
        return  # then no loop runs here; the result says so
    FileSource(args.recording, fast=True).close()


def _systems(args: argparse.Namespace, scratch: Path) -> tuple[list[System], list[SystemState]]:
    """What is to be measured, and what cannot be and why.

    Raises: BundleError if a bundle that is named is none.
    """
    absent: list[SystemState] = []
    if args.bundles:
        systems = of_bundles(args.bundles)
    else:
        systems = of_bundles([default_bundle()])
        if not args.system or any(name.endswith(MADE) for name in args.system):
            try:
                systems += of_bundles([_fp32(scratch)])
            except (ModuleNotFoundError, BundleError) as error:
                absent += _no_fp32(error)
    before = of_before(systems, args.before) if args.before else []
    return [*systems, *before, *in_pytorch()], absent


def _fp32(scratch: Path) -> Path:
    """The fp32 bundle of the student that ships, made anew."""
    from distill.models.checkpoint import load_checkpoint
    from export.bundle import write_bundles

    (made,) = write_bundles(load_checkpoint(CHECKPOINT), ["fp32"], scratch)
    return made[0]


def _no_fp32(error: Exception) -> list[SystemState]:
    status, why = "not here", str(error)
    if isinstance(error, ModuleNotFoundError):
        status = "not installed"
        why = f"{error.name}, to export it; type: pip install 'aac-stream[export]'"
    return [
        SystemState(name, "fp32 of our student", RUNTIMES[runtime], "CPU", False, status, why)
        for name, runtime in zip(MADE, GRAPH_RUNTIMES, strict=True)
    ]
