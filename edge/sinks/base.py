"""The protocols of sinks: a sink turns results into pieces and writes or sends each piece.

A `SinkWorker` owns each sink. The worker's thread makes every call, one at a time, except `hear`,
`cancel` and `close`. The device threads call `hear`. Any thread may call `cancel` and `close`, at
any time and more than once.
"""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

from edge.config import StreamConfig
from edge.inference.features import Floats
from edge.streaming.results import WindowResult

Piece = TypeVar("Piece")


class Sink(Protocol[Piece]):
    """A destination of captions. The protocols below add optional abilities."""

    name: str  # Name of the sink in log and error messages.

    def of(self, result: WindowResult) -> Piece | None:
        """Return the piece that `result` adds, or None if it adds nothing."""

    def end(self) -> Piece | None:
        """Return the last piece of the run, or None if there is nothing to add."""

    def put(self, piece: Piece) -> None:
        """Write or send the whole `piece` or nothing of it, because the worker tries it again.

        Raises
        ------
        OutputError
            If the piece cannot be written now.
        BrokenPipeError
            If the reader has gone for good.
        """

    def close(self) -> None:
        """Release all open resources."""


@runtime_checkable
class HearingSink(Protocol):
    """A sink that also receives the audio."""

    def hear(self, device: str, start_s: float, samples: Floats) -> None:
        """Take audio of `device`; see `edge.streaming.device_manager.Listener`.

        Parameters
        ----------
        device
            Label of the device in captions.
        start_s
            Time of the first sample in seconds.
        samples
            Mono samples at the model's sample rate, shape (n_samples,).
        """


@runtime_checkable
class ReopeningSink(Protocol):
    """A sink whose file another program, such as logrotate, may move away."""

    def reopen(self) -> None:
        """Open the file at the same path again; the worker calls this between two pieces.

        Raises
        ------
        OutputError
            If the file cannot be opened. The previous file then stays open.
        """


@runtime_checkable
class ConfigurableSink(Protocol):
    """A sink that applies changed settings while it is open."""

    def configure(self, config: StreamConfig) -> object | None:
        """Use `config` from the next window on.

        Returns
        -------
        object or None
            The piece to put because of the change, if there is one.
        """


@runtime_checkable
class CancellableSink(Protocol):
    """A sink whose `put` may wait for a long time, for example for a broker."""

    def cancel(self) -> None:
        """Make a waiting `put` end soon, and make every later `put` end at once."""
