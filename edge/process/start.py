"""Entry points of the four commands."""

from __future__ import annotations

import signal
from importlib import import_module


def start(module: str) -> int:
    """Import `module` and return the exit code of its `main`.

    The import takes seconds on a small computer. Ctrl-C ends the process meanwhile, as it ends a
    program that does not handle it; Python would print a traceback.
    """
    handled = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if handled:  # Else it is ignored, and stays so.
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
