"""What every sink has in common: it makes pieces of what is heard, and puts them somewhere.

A `SinkWorker` owns each sink: its thread makes every call, one at a time, but for `hear`, `cancel`
and `close`. `hear` runs in the threads of the devices; `cancel` and `close` may be called from any
thread, at any time and more than once.
"""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

from edge.config import StreamConfig
from edge.inference.features import Floats
from edge.streaming.results import WindowResult

Piece = TypeVar("Piece")


class Sink(Protocol[Piece]):
    """Where captions go. The protocols below are for sinks that can do more."""

    name: str  # for messages

    def of(self, heard: WindowResult) -> Piece | None:
        """Return what `heard` adds; None if nothing."""

    def end(self) -> Piece | None:
        """Return what there is to add as the run ends."""

    def put(self, piece: Piece) -> None:
        """Write or send `piece`, all of it or nothing: it is tried again.

        Raises: OutputError if that does not work now, BrokenPipeError if nobody reads any more.
        """

    def close(self) -> None:
        """Give back what is open."""


@runtime_checkable
class HearingSink(Protocol):
    """A sink that wants the audio too."""

    def hear(self, device: str, start_s: float, samples: Floats) -> None:
        """As `edge.streaming.device_manager.Listener`."""


@runtime_checkable
class ReopeningSink(Protocol):
    """A sink whose file may be moved away, as by logrotate."""

    def reopen(self) -> None:
        """Open anew what may have been moved away; called between two pieces.

        Raises: OutputError; then what was open stays so.
        """


@runtime_checkable
class ConfigurableSink(Protocol):
    """A sink that takes over changed settings while it is open."""

    def configure(self, config: StreamConfig) -> object | None:
        """Use `config` from the next window on; return a piece to put because of it, if any."""


@runtime_checkable
class CancellableSink(Protocol):
    """A sink whose `put` may wait long for others."""

    def cancel(self) -> None:
        """Make a `put` that waits end soon, and every later one at once."""
