"""Define names of the `os` module that some systems lack, with values that have no effect."""

from __future__ import annotations

import os

O_NONBLOCK: int = getattr(os, "O_NONBLOCK", 0)
O_CLOEXEC: int = getattr(os, "O_CLOEXEC", getattr(os, "O_NOINHERIT", 0))
# Windows needs this flag. Otherwise it writes a line break as two bytes, and ends a file at Ctrl-Z.
O_BINARY: int = getattr(os, "O_BINARY", 0)


def set_blocking(descriptor: int) -> None:
    """Make writes to `descriptor` block, after it was opened with O_NONBLOCK."""
    if hasattr(os, "set_blocking"):
        os.set_blocking(descriptor, True)
