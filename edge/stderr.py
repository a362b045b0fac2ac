"""Libraries that write to the terminal past Python, and how to keep them from it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

# There is one standard error for all threads: the first to silence it keeps it, the last to end
# gives it back. Were each to keep what it finds, one would give back another's silence for good.
_lock = threading.Lock()
_users = 0
_saved = -1


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drop what native code writes to standard error meanwhile; errors still come as exceptions."""
    global _users, _saved
    with _lock:
        if not _users:
            sys.stderr.flush()
            _saved = os.dup(2)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)
            os.close(null)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                os.dup2(_saved, 2)
                os.close(_saved)
