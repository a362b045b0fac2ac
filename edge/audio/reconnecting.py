"""Sources that come and go: wait until they are back, and go on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

import numpy as np

from edge.audio.file import Source
from edge.audio.ring_buffer import Block
from edge.errors import AudioError, DeviceError, UnavailableError

log = logging.getLogger(__name__)

FIRST_WAIT_S = 1.0  # a loose plug is back soon
LONGEST_WAIT_S = 30.0  # then twice as long each time, up to this: tries cost little, and help late
STEP_S = 0.5  # of a wait, so that the loop lives meanwhile


class MissingSource:
    """A source that could not be opened; reading it raises the reason."""

    lossless = False

    def __init__(self, name: str, rate: int, reason: UnavailableError) -> None:
        self.name, self.rate, self._reason = name, rate, reason

    def blocks(self) -> Iterator[Block]:
        raise self._reason

    def close(self) -> None:
        """Nothing is open."""


class ReconnectingSource:
    """`first`, and whenever that gives no audio any more, what `reopen` gives once it can.

    The time without audio is told as lost frames, piece by piece while it lasts, so that the
    loop's clock goes on. A wait is said on one line when it begins, and on one when it is over;
    both are warnings, since who reads of the one wants to read of the other.
    """

    def __init__(self, first: Source, reopen: Callable[[], Source]) -> None:
        self._source: Source | None = first
        self._reopen = reopen
        self.name, self.rate, self.lossless = first.name, first.rate, first.lossless
        self._until = time.monotonic()  # up to then, audio or its loss has been told
        self._overflows = 0  # of sources that are closed

    @property
    def missing(self) -> bool:
        """Whether it has never been open yet."""
        return isinstance(self._source, MissingSource)

    @property
    def overflows(self) -> int:
        """Times that the device itself lost audio."""
        return self._overflows + int(getattr(self._source, "overflows", 0))

    def blocks(self) -> Iterator[Block]:
        wait, back = FIRST_WAIT_S, self._until
        gone: float | None = None  # since when, while it is
        while True:
            try:
                source = self._source = self._source or self._reopen()
                for block in source.blocks():
                    if not len(block.samples):
                        yield block if gone is None else self._gap()
                        continue
                    if gone is not None:  # that it opens is not enough: it may give nothing
                        block = self._come_back(source, block)
                        log.warning("%s: is back after %.0f s", self.name, self._until - gone)
                        gone, back = None, self._until
                    self._until = time.monotonic()
                    yield block
                return
            except (DeviceError, AudioError) as error:
                # While it is gone it may be another device that lies under its name: wait on.
                if gone is None and not isinstance(error, UnavailableError):
                    raise
                reason = str(error)
            self.close()
            if gone is None:
                log.warning("%s; waiting for it", reason)
                gone = self._until
                if gone - back > LONGEST_WAIT_S:  # else it comes and goes: not a line each second
                    wait = FIRST_WAIT_S
            yield from self._wait(wait)
            wait = min(2 * wait, LONGEST_WAIT_S)

    def _wait(self, seconds: float) -> Iterator[Block]:
        yield self._gap()
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, STEP_S))
            yield self._gap()

    def _gap(self) -> Block:
        """A block that only tells how much was lost up to now."""
        now = time.monotonic()
        lost = round((now - self._until) * self.rate)
        self._until = now
        return Block(np.zeros((0, 1), np.float32), lost)

    def _come_back(self, source: Source, block: Block) -> Block:
        """The first `block` of `source`, with what was lost before it."""
        # It may be another device now, or the same at another rate.
        self.name, self.rate = source.name, source.rate
        now = time.monotonic()
        lost = round((now - self._until) * self.rate) - len(block.samples)
        self._until = now
        # Never 0: what was lost is what makes the loop begin anew, at the new rate.
        return Block(block.samples, block.lost + max(1, lost))

    def close(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            self._overflows += int(getattr(source, "overflows", 0))
            source.close()
