"""What every sink has in common: it makes pieces of what is heard, and puts them somewhere."""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

from edge.features import Floats
from edge.heard import Heard

Piece = TypeVar("Piece")


class Sink(Protocol[Piece]):
    """Where captions go. An `Outlet` calls it from a thread of its own, one call at a time."""

    name: str  # for messages

    def of(self, heard: Heard) -> Piece | None:
        """What `heard` adds, in its order; None if nothing."""

    def end(self) -> Piece | None:
        """What there is to add as the run ends."""

    def put(self, piece: Piece) -> None:
        """Write or send `piece`, all of it or nothing: it is tried again.

        Raises: OutputError if that does not work now, BrokenPipeError if nobody reads any more.
        """

    def reopen(self) -> None:
        """Open anew what may have been moved away; called between two pieces.

        Raises: OutputError; then what was open stays so.
        """

    def close(self) -> None:
        """Give back what is open."""


@runtime_checkable
class HearingSink(Protocol):
    """A sink that wants the audio too."""

    def hear(self, device: str, start_s: float, samples: Floats) -> None:
        """As `edge.hub.Listener`."""
