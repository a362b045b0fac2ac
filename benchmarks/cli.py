"""`aac-bench`: how fast, how small and how good, on which runtime, and against what."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.plan import scenarios
from benchmarks.results import FILE, read_result
from edge.errors import AacStreamError
from edge.process.program import INTERRUPTED, Parser, printed, run_program

SAMPLE = Path(__file__).parents[1] / "examples" / "sample.ogg"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = Parser(prog="aac-bench", description="Measures systems on this machine.")
    commands = p.add_subparsers(dest="command", required=True)
    r = commands.add_parser(
        "run",
        help="measure, and write a result file",
        description="Measures the bundle that ships, its fp32 original, the same in PyTorch, the "
        "paper's published student and its teacher, as far as their packages are installed.",
    )
    r.add_argument("out", type=Path, help=f"folder for {FILE}")
    r.add_argument("bundles", type=Path, nargs="*", help="bundles to measure instead of ours")
    r.add_argument("--name", default="", help="what reports call this machine")
    names = [scenario.name for scenario in scenarios(rounds=1, scenes=0)]
    r.add_argument(
        "--scenario", choices=names, action="append", help="may be repeated; all if none is given"
    )
    r.add_argument(
        "--system", metavar="NAME", action="append", help="as int8/onnx; may be repeated"
    )
    r.add_argument("--rounds", type=_positive, default=7, help="of each measurement (7)")
    r.add_argument("--recording", type=Path, default=SAMPLE, help="what the loop hears")
    r.add_argument("--folder", type=Path, help="recordings for the batch")
    r.add_argument("--corpus", type=Path, help="an open corpus that was built, for the quality")
    r.add_argument("--scenes", type=_positive, default=300, help="beside its clips (300)")
    r.add_argument(
        "--before", type=Path, metavar="CHECKOUT", help="measure the edge of another checkout, too"
    )
    s = commands.add_parser(
        "soak",
        help="a day of audio through the loop, and whether all of it was heard",
        description="Streams made-up audio of a shelf in a kitchen through ring, loop and track, "
        "faster than real time. Exit code 1 if an aim is missed.",
    )
    s.add_argument("--hours", type=float, default=24.0, help="of audio (24)")
    s.add_argument("--hop-s", type=float, default=1.0, help="from one window to the next (1)")
    s.add_argument("--window-s", type=float, default=5.0, help="of one caption (5)")
    s.add_argument("--seed", type=_natural, default=0, help="of all that is random (0)")
    s.add_argument("--corpus", type=Path, help="an open corpus, of which clips are heard, too")
    t = commands.add_parser("report", help="one report of the results of one or more machines")
    t.add_argument("results", type=Path, nargs="+", help="result files, or their folders")
    t.add_argument("--out", type=Path, default=Path("report"), help="folder for it (report)")
    c = commands.add_parser("compare", help="what changed beyond noise from one result to another")
    c.add_argument("before", type=Path, help="a result file, or its folder")
    c.add_argument("after", type=Path, help="another")
    g = commands.add_parser("gate", help="thresholds of the gate, from clips that were held back")
    g.add_argument("--corpus", type=Path, required=True, help="an open corpus that was built")
    g.add_argument("--out", type=Path, required=True, help="folder for tables, plot and windows")
    g.add_argument("--events", type=_positive, default=400, help="of each split (400)")
    h = commands.add_parser("headline", help="the table of the README, from a result file")
    h.add_argument("result", type=Path, help="a result file, or its folder")
    h.add_argument("--write", type=Path, metavar="FILE", help="put it between the marks in FILE")
    return p


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError
    return value


_natural.__name__ = "number from 0 on"
_positive.__name__ = "positive number"  # argparse says it where it refuses one


def main(argv: Sequence[str] | None = None) -> int:
    """Run `aac-bench` with the arguments `argv`; return the exit code."""
    return run_program(lambda: _dispatch(argv), printed("aac-bench"))


def _dispatch(argv: Sequence[str] | None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = parser().parse_args(arguments)
    return COMMANDS[args.command](args, arguments)


def _not_installed(error: ModuleNotFoundError) -> AacStreamError:
    return AacStreamError(f"{error.name} is not installed; type: pip install 'aac-stream[bench]'")


def _run(args: argparse.Namespace, arguments: list[str]) -> int:
    try:
        from benchmarks.measure import measure
    except ModuleNotFoundError as error:
        raise _not_installed(error) from None

    path = args.out / FILE
    try:
        measure(args, arguments, path)
    except KeyboardInterrupt:
        print(f"aac-bench: stopped; {path} holds what was measured", file=sys.stderr)
        return INTERRUPTED
    print(f"{path}: written; for a report, type: aac-bench report {args.out}")
    return 0


def _soak(args: argparse.Namespace, _: list[str]) -> int:
    try:
        from benchmarks.soak import run
    except ModuleNotFoundError as error:
        raise _not_installed(error) from None

    try:
        return run(args)
    except KeyboardInterrupt:  # a second one; the first ends it in order
        print("aac-bench: stopped", file=sys.stderr)
        return INTERRUPTED


def _report(args: argparse.Namespace, _: list[str]) -> int:
    from benchmarks.report import write_report

    for path in write_report([read_result(path) for path in args.results], args.out):
        print(path)
    return 0


def _compare(args: argparse.Namespace, _: list[str]) -> int:
    from benchmarks.compare import compare

    print(compare(read_result(args.before), read_result(args.after)))
    return 0


def _headline(args: argparse.Namespace, _: list[str]) -> int:
    from benchmarks.headline import headline, update

    text = headline(read_result(args.result))
    if args.write is None:
        print(text)
    else:
        changed = update(args.write, text)
        print(f"{args.write}: {'written' if changed else 'is as it was'}")
    return 0


def _gate(args: argparse.Namespace, _: list[str]) -> int:
    try:
        from benchmarks.gate.calibrate import calibrate
    except ModuleNotFoundError as error:
        raise AacStreamError(
            f"{error.name} is not installed; type: pip install 'aac-stream[bench]'"
        ) from None

    for path in calibrate(args.corpus, args.out, args.events):
        print(path)
    return 0


COMMANDS = {
    "run": _run,
    "soak": _soak,
    "report": _report,
    "compare": _compare,
    "gate": _gate,
    "headline": _headline,
}
