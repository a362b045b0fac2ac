"""`aac-export`: model bundles of training checkpoints and of published students."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge.audio.file import AUDIO_SUFFIXES
from edge.errors import AacStreamError, BundleError
from edge.inference.bundle import size_mb
from edge.process.program import Parser, printed, run_program

CLIPS = 200  # of a folder; more changes no range


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = Parser(prog="aac-export", description=__doc__)
    commands = p.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="bundles of a checkpoint of aac-distill")
    make.add_argument("checkpoint", type=Path, help="last.pt of aac-distill train")
    bring = commands.add_parser("import", help="bundles of the paper's published students")
    bring.add_argument("source", help="a folder, or owner/name on the Hugging Face hub")
    bring.add_argument(
        "--tokenizer", metavar="FILE", help="tokenizer.json, where it is not with the model"
    )
    for command in (make, bring):
        command.add_argument("out", type=Path, help="folder to write the bundles to")
        command.add_argument(
            "--variant",
            action="append",
            metavar="NAME",
            help="fp32, int8, int8-static, int8-dynamic, int8-weights or int8-nncf; may be "
            "repeated (fp32, and int8 where there are recordings)",
        )
        command.add_argument(
            "--clips",
            type=Path,
            metavar="FOLDER",
            help="recordings to measure int8's ranges on (those the checkpoint names)",
        )
    for name, text in [
        ("inspect", "what a bundle holds"),
        ("verify", "whether a bundle is whole, and runs alike on every backend"),
    ]:
        commands.add_parser(name, help=text).add_argument("bundle", type=Path)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run `aac-export` with the arguments `argv`; return the exit code."""
    return run_program(lambda: _run(argv), printed("aac-export"))


def _run(argv: Sequence[str] | None) -> int:
    args = parser().parse_args(argv)
    try:
        if args.command == "inspect":
            from export.contents import inspect

            print(inspect(args.bundle))
        elif args.command == "verify":
            from export.check import verify

            for line in verify(args.bundle):
                print(line)
        else:
            write(args)
    except ModuleNotFoundError as error:
        extra = "import" if args.command == "import" else "export"
        raise AacStreamError(
            f"{error.name} is not installed; type: pip install 'aac-stream[{extra}]'"
        ) from None
    return 0


def write(args: argparse.Namespace) -> None:
    """Write the bundles that `make` and `import` are asked for, and say how they are."""
    from distill.models.checkpoint import load_checkpoint
    from export.bundle import write_bundles
    from export.variants import VARIANTS

    for name in args.variant or []:
        if name not in VARIANTS:
            raise BundleError(f"--variant {name}: is not one of {', '.join(VARIANTS)}")
    if args.command == "make":
        checkpoint = load_checkpoint(args.checkpoint)
    else:
        from export.importing import load_source

        checkpoint = load_source(args.source, args.tokenizer)
    if args.clips:
        checkpoint = replace(checkpoint, calibration=recordings(args.clips))
    names = args.variant or (["fp32", "int8"] if checkpoint.calibration else ["fp32"])
    for folder, found in write_bundles(checkpoint, names, args.out):
        heard = (
            f"on {found.clips} recordings" if found.clips else "on noise; --clips for real audio"
        )
        print(
            f"{folder}: {size_mb(folder):.1f} MB; token probabilities differ from PyTorch's by "
            f"{found.largest:.2g} at most, {found.mean:.2g} on average, {heard}",
            flush=True,
        )


def recordings(folder: Path) -> list[Path]:
    """Recordings below `folder`, no more than needed, spread over all that are there."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    if not found:
        raise BundleError(f"{folder}: holds no recordings ({', '.join(sorted(AUDIO_SUFFIXES))})")
    return found[:: -(-len(found) // CLIPS)]
