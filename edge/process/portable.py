"""Names of the operating system that Windows does not have, with values that do nothing there."""

from __future__ import annotations

import os

O_NONBLOCK: int = getattr(os, "O_NONBLOCK", 0)
O_CLOEXEC: int = getattr(os, "O_CLOEXEC", getattr(os, "O_NOINHERIT", 0))
# On Windows alone: without it, a line break becomes two bytes, and a file ends at Ctrl-Z.
O_BINARY: int = getattr(os, "O_BINARY", 0)


def set_blocking(descriptor: int) -> None:
    """Let writes to `descriptor`, which was opened with O_NONBLOCK, wait."""
    if hasattr(os, "set_blocking"):
        os.set_blocking(descriptor, True)
