"""Provide the entry points of the four commands."""

from __future__ import annotations

import signal
from importlib import import_module


def start(module: str) -> int:
    """Import `module` and return the exit code of its `main`.

    The import takes seconds on a small computer. Meanwhile Ctrl-C ends the process at once, without
    the traceback that Python would print.
    """
    handled = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if handled:  # Otherwise SIGINT is ignored, and stays ignored.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    main = import_module(module).main
    if handled:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return int(main())


def aac_stream() -> int:
    """Run `aac-stream`."""
    return start("edge.cli")


def aac_distill() -> int:
    """Run `aac-distill`."""
    return start("distill.cli")


def aac_export() -> int:
    """Run `aac-export`."""
    return start("export.cli")


def aac_bench() -> int:
    """Run `aac-bench`."""
    return start("benchmarks.cli")
