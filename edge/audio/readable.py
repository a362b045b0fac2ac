"""Wait for a pipe on systems with and without poll()."""

from __future__ import annotations

import select


def wait_readable(descriptor: int, seconds: float) -> bool:
    """Wait up to `seconds` until `descriptor` can be read or has ended; return whether it can.

    select() fails for descriptors above 1023. Windows has no poll(), and its select() takes no
    pipes: there the caller's read blocks, which a thread of its own may do.
    """
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000.0))
