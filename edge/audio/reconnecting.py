"""Reconnect to audio sources that are lost and come back."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

import numpy as np

from edge.audio.file import Source
from edge.audio.ring_buffer import Block
from edge.errors import AudioError, DeviceError, UnavailableError

log = logging.getLogger(__name__)

FIRST_WAIT_S = 1.0  # Seconds before the first attempt to reconnect; a loose plug is back soon.
# Longest time in seconds between two attempts. The time doubles after each attempt up to this
# limit, as attempts are cheap and should still help after a long absence.
LONGEST_WAIT_S = 30.0
STEP_S = 0.5  # Seconds between empty blocks during a wait, so that the consumer stays responsive.


class MissingSource:
    """A source that could not be opened; reading it raises the reason."""

    lossless = False

    def __init__(self, name: str, rate: int, reason: UnavailableError) -> None:
        self.name, self.rate, self._reason = name, rate, reason

    def blocks(self) -> Iterator[Block]:
        """Raise the reason."""
        raise self._reason

    def close(self) -> None:
        """Do nothing, because nothing is open."""


class ReconnectingSource:
    """A source that is opened again whenever it is lost.

    The time without audio is reported as lost frames while it lasts, so that the consumer's clock
    continues. One message is logged when a wait begins and one when it ends. Both messages are
    warnings, so that the recovery shows wherever the failure did.
    """

    def __init__(self, first: Source, reopen: Callable[[], Source]) -> None:
        """Read `first`.

        Parameters
        ----------
        first
            The source to begin with.
        reopen
            Opens the source again. It raises a DeviceError or an AudioError if it cannot.
        """
        self._source: Source | None = first
        self._reopen = reopen
        self.name, self.rate, self.lossless = first.name, first.rate, first.lossless
        # Monotonic time in seconds up to which audio or lost frames have been yielded.
        self._until = time.monotonic()
        self._overflows = 0  # Overflows of the sources that are closed.

    @property
    def missing(self) -> bool:
        """True if the first source could not be opened and is not replaced yet."""
        return isinstance(self._source, MissingSource)

    @property
    def overflows(self) -> int:
        """Number of times that the device itself lost audio."""
        return self._overflows + int(getattr(self._source, "overflows", 0))

    def blocks(self) -> Iterator[Block]:
        """Yield the audio of the source, and its lost frames while it is away.

        Raises
        ------
        AudioError, DeviceError
            The source has failed for good.
        """
        wait, back_at = FIRST_WAIT_S, self._until
        lost_at: float | None = None  # Monotonic time in seconds of the loss; None while connected.
        while True:
            try:
                source = self._source = self._source or self._reopen()
                for block in source.blocks():
                    if not len(block.samples):
                        yield block if lost_at is None else self._gap()
                        continue
                    # A source that opens may give no audio. It is back with its first audio.
                    if lost_at is not None:
                        block = self._first_block_of(source, block)
                        log.warning("%s: is back after %.0f s", self.name, self._until - lost_at)
                        lost_at, back_at = None, self._until
                    self._until = time.monotonic()
                    yield block
                return
            except (DeviceError, AudioError) as error:
                # During a wait another device may have the same name. Its errors do not end the
                # wait.
                if lost_at is None and not isinstance(error, UnavailableError):
                    raise
                reason = str(error)
            self.close()
            if lost_at is None:
                log.warning("%s; waiting for it", reason)
                lost_at = self._until
                # A source that is lost again soon keeps its long wait, so that the log does not
                # get a line each second.
                if lost_at - back_at > LONGEST_WAIT_S:
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
        """Return an empty block that reports the frames lost up to now."""
        now = time.monotonic()
        lost = round((now - self._until) * self.rate)
        self._until = now
        return Block(np.zeros((0, 1), np.float32), lost)

    def _first_block_of(self, source: Source, block: Block) -> Block:
        """Return the first `block` of the reopened `source` with the frames lost before it."""
        # The source may be another device now, or the same device at another rate.
        self.name, self.rate = source.name, source.rate
        now = time.monotonic()
        lost = round((now - self._until) * self.rate) - len(block.samples)
        self._until = now
        # The count is at least 1, because lost frames make the consumer restart at the new rate.
        return Block(block.samples, block.lost + max(1, lost))

    def close(self) -> None:
        """Close the current source."""
        source, self._source = self._source, None
        if source is not None:
            self._overflows += int(getattr(source, "overflows", 0))
            source.close()
