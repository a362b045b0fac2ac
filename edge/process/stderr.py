"""Silence native libraries on standard error, and keep a descriptor that always reaches it.

Some native libraries write to descriptor 2 directly. `quiet_stderr` redirects that descriptor to
the null device within a block. The messages of this program, and the commands that it starts, use
the descriptor of `real_stderr_fd`, which is never silenced.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

STDERR = 2  # The descriptor that native code writes to.

# All threads share one standard error. The first thread that silences it saves its descriptor, and
# the last thread that leaves restores it. `_lock` guards the two variables below it.
_lock = threading.Lock()
_users = 0  # Number of blocks that silence standard error now.
_real = -1  # A duplicate of the standard error of the process; -1 before the first use.


def real_stderr_fd() -> int:
    """Return a descriptor of standard error that `quiet_stderr` does not silence.

    The descriptor stays open, with the same number, until the process ends. Child processes do not
    inherit it: pass it to them as `stdout` or `stderr`.
    """
    with _lock:
        if _real < 0:
            _save()
        return _real


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Discard the output of native code on standard error within a `with` block.

    Exceptions are not affected.
    """
    global _users
    with _lock:
        if not _users:
            with contextlib.suppress(AttributeError, OSError, ValueError):
                sys.stderr.flush()
            _save()
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, STDERR)
            os.close(null)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                os.dup2(_real, STDERR)


def refresh_stderr() -> None:
    """Point `real_stderr_fd` to the present file of descriptor 2, unless it is silenced."""
    with _lock:
        if not _users:
            _save()


def write_stderr(text: str) -> None:
    """Write `text` to the real standard error, in one piece; discard it if that fails."""
    data = text.encode(getattr(sys.stderr, "encoding", None) or "utf-8", "backslashreplace")
    with contextlib.suppress(OSError):
        descriptor = real_stderr_fd()
        while data:
            data = data[os.write(descriptor, data) :]


def is_descriptor() -> bool:
    """Return True if `sys.stderr` writes to descriptor 2, so that nothing has replaced it."""
    try:
        return sys.stderr.fileno() == STDERR
    except (AttributeError, OSError, ValueError):  # There is no stream, or it is no file.
        return False


def _save() -> None:
    """Point `_real` to the present file of descriptor 2; the caller holds the lock."""
    global _real
    try:
        if _real < 0:
            _real = os.dup(STDERR)
        else:
            os.dup2(STDERR, _real, inheritable=False)
    except OSError:  # Descriptor 2 is closed.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, STDERR)
        if null != STDERR:
            os.close(null)
        _real = os.dup(STDERR) if _real < 0 else os.dup2(STDERR, _real, inheritable=False)
