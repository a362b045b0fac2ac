"""Wait for a pipe on systems with and without poll()."""

from __future__ import annotations

import select


def wait_readable(descriptor: int, seconds: float) -> bool:
    """Wait up to `seconds` for data or the end of `descriptor`; return True if either is there.

    select() fails for descriptors above 1023, so poll() is used. Windows has no poll(), and its
    select() does not accept pipes. There the function returns True at once and the caller's read
    blocks, which is acceptable in a separate thread.
    """
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000.0))
