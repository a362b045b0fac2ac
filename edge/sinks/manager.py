"""All sinks of a run, through every reload of its settings; the main thread alone uses them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from edge.config import StreamConfig
from edge.errors import AacStreamError, OutputError
from edge.sinks.base import HearingSink
from edge.sinks.sink_settings import WantedSink, wanted_sinks
from edge.sinks.worker import SinkWorker, close_all
from edge.streaming.device_manager import DeviceManager
from edge.streaming.results import WindowResult

log = logging.getLogger(__name__)

OLD_S = 2.0  # For sinks that a reload closes: the captions wait meanwhile.


class SinkManager:
    """Opens what `config` asks for, and hands it what `hub` hears."""

    def __init__(self, config: StreamConfig, hub: DeviceManager) -> None:
        """Raises: OutputError if a sink cannot be opened; then none is open."""
        self._hub = hub
        self._outlets: dict[WantedSink, SinkWorker] = {}
        try:
            for wanted in wanted_sinks(config, hub, hub.features.sample_rate):
                self._outlets[wanted] = self._open(wanted)
        except BaseException:
            self._close(self._outlets)
            raise
        self._listen()

    def wait(self) -> None:
        """Wait for room, where the sources wait for the sinks.

        Raises: OutputError if a sink failed, BrokenPipeError if nobody reads standard output.
        """
        for outlet in self._outlets.values():
            outlet.wait()

    def push(self, heard: WindowResult) -> None:
        """Hand `heard` to every sink; returns at once."""
        for outlet in self._outlets.values():
            outlet.push(heard)

    @contextmanager
    def changed(self, config: StreamConfig, sample_rate: int) -> Iterator[None]:
        """Use `config` if the block succeeds, else go on with the sinks there are.

        Sinks whose own settings stay the same are kept. New ones are open before the block;
        after it, those that are no longer wanted are closed. Files are opened again.

        Raises: OutputError if a sink cannot be opened, and whatever the block raises.
        """
        wanted = wanted_sinks(config, self._hub, sample_rate)
        added = [one for one in wanted if one not in self._outlets]
        removed = [one for one in self._outlets if one not in wanted]
        ports = {one.port for one in added} - {0}
        # A port can be had but once; a page that took any free one knows which it got.
        first = [one for one in removed if getattr(self._outlets[one].sink, "port", 0) in ports]
        opened: dict[WantedSink, SinkWorker] = {}
        try:
            self._close(first)
            for one in added:
                opened[one] = self._open(one)
            for one in wanted:
                if one in self._outlets:
                    self._outlets[one].reopen()
            yield
        except BaseException:
            self._close_outlets(opened.values())
            for one in first:
                with _logged():
                    self._outlets[one] = self._open(one)
            self._listen()
            raise
        self._close(one for one in removed if one in self._outlets)
        self._outlets |= opened
        for outlet in self._outlets.values():
            outlet.configure(config, self._hub.lossless)
        self._listen()

    def reopen(self, told: Exception) -> None:
        """Open the files again; log what fails, unless it is `told`, and keep what is open."""
        for outlet in self._outlets.values():
            try:
                outlet.reopen()
            except AacStreamError as error:
                if str(error) != str(told):
                    log.error("%s", error)

    def close(self, seconds: float | None) -> None:
        """Write what is left, as far as that goes within so many `seconds`, if any.

        Raises: OutputError if a sink fails, BrokenPipeError if nobody reads standard output.
        """
        close_all(self._outlets.values(), seconds)

    def _open(self, wanted: WantedSink) -> SinkWorker:
        return SinkWorker(wanted.open(), self._hub.lossless)

    def _close(self, sinks: Iterable[WantedSink]) -> None:
        self._close_outlets([self._outlets.pop(one) for one in list(sinks)])

    def _close_outlets(self, outlets: Iterable[SinkWorker]) -> None:
        with _logged(), suppress(BrokenPipeError):
            close_all(outlets, OLD_S)

    def _listen(self) -> None:
        """Audio goes to the sinks that want it."""
        outlets = self._outlets.values()
        self._hub.listeners = [o.hear for o in outlets if isinstance(o.sink, HearingSink)]


@contextmanager
def _logged() -> Iterator[None]:
    """Log what fails here: the sinks in use go on all the same."""
    try:
        yield
    except OutputError as error:
        log.error("%s", error)
