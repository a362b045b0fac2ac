"""Names of the operating system that Windows does not have, with values that do nothing there."""

from __future__ import annotations

import os
import select
import sys
from typing import BinaryIO

O_NONBLOCK: int = getattr(os, "O_NONBLOCK", 0)
O_CLOEXEC: int = getattr(os, "O_CLOEXEC", getattr(os, "O_NOINHERIT", 0))
# On Windows alone: without it, a line break becomes two bytes, and a file ends at Ctrl-Z.
O_BINARY: int = getattr(os, "O_BINARY", 0)


def set_blocking(descriptor: int) -> None:
    """Let writes to `descriptor`, which was opened with O_NONBLOCK, wait."""
    if hasattr(os, "set_blocking"):
        os.set_blocking(descriptor, True)


def pread(descriptor: int, count: int, offset: int) -> bytes:
    """Return up to `count` bytes at `offset`; where `os.pread` is missing, the position moves."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, count, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, count)


def readable(pipe: BinaryIO, seconds: float) -> bool:
    """Wait up to `seconds` for data in `pipe`, or its end; return False if neither comes.

    On Windows, return True at once: only sockets can be waited for there, so the read waits.
    """
    if sys.platform == "win32":
        return True
    if hasattr(select, "poll"):  # `select.select` refuses descriptors from 1024 on.
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    return bool(select.select([pipe], [], [], seconds)[0])
