"""The manager of all sinks of a run, across reloads of the settings.

Only the main thread uses it.
"""

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

OLD_S = 2.0  # Seconds that the sinks closed by a reload may take; captions wait during this time.


class SinkManager:
    """Opens the sinks of `config` and passes them the results and the audio of `device_manager`.

    Raises
    ------
    OutputError
        If a sink cannot be opened. All other sinks are then closed again.
    """

    def __init__(self, config: StreamConfig, device_manager: DeviceManager) -> None:
        self._device_manager = device_manager
        self._workers: dict[WantedSink, SinkWorker] = {}
        try:
            for wanted in wanted_sinks(config, device_manager, device_manager.features.sample_rate):
                self._workers[wanted] = self._open(wanted)
        except BaseException:
            self._close(self._workers)
            raise
        self._set_listeners()

    def wait(self) -> None:
        """Wait until every queue has room, if the sources wait for the sinks.

        Raises
        ------
        OutputError
            If a sink has failed.
        BrokenPipeError
            If the reader of standard output has gone.
        """
        for worker in self._workers.values():
            worker.wait()

    def push(self, result: WindowResult) -> None:
        """Queue `result` for every sink and return at once."""
        for worker in self._workers.values():
            worker.push(result)

    @contextmanager
    def changed(self, config: StreamConfig, sample_rate: int) -> Iterator[None]:
        """Use `config` if the block of the `with` statement succeeds, else keep the present sinks.

        Sinks whose settings stay the same are kept, and their files are opened again. New sinks
        are opened before the block. Sinks that `config` no longer asks for are closed after it.

        Parameters
        ----------
        config
            The new settings.
        sample_rate
            Sample rate of the audio for the sinks, in Hz.

        Raises
        ------
        OutputError
            If a sink cannot be opened. Every error of the block is raised too.
        """
        wanted = wanted_sinks(config, self._device_manager, sample_rate)
        added = [one for one in wanted if one not in self._workers]
        removed = [one for one in self._workers if one not in wanted]
        ports = {one.port for one in added} - {0}
        # A port can be opened only once, so its old sink is closed before the new one is opened.
        # The port of a page that asked for any free port is read from its sink.
        first = [one for one in removed if getattr(self._workers[one].sink, "port", 0) in ports]
        opened: dict[WantedSink, SinkWorker] = {}
        try:
            self._close(first)
            for one in added:
                opened[one] = self._open(one)
            for one in wanted:
                if one in self._workers:
                    self._workers[one].reopen()
            yield
        except BaseException:
            self._close_workers(opened.values())
            for one in first:
                with _logged():
                    self._workers[one] = self._open(one)
            self._set_listeners()
            raise
        self._close(one for one in removed if one in self._workers)
        self._workers |= opened
        for worker in self._workers.values():
            worker.configure(config, self._device_manager.lossless)
        self._set_listeners()

    def reopen(self, known: Exception) -> None:
        """Open the files again, and keep those open that cannot be opened again.

        Errors are logged, except one with the same message as `known`.
        """
        for worker in self._workers.values():
            try:
                worker.reopen()
            except AacStreamError as error:
                if str(error) != str(known):
                    log.error("%s", error)

    def close(self, seconds: float | None) -> None:
        """Write the queued windows and close all sinks.

        Parameters
        ----------
        seconds
            Time limit in seconds; None waits without a limit.

        Raises
        ------
        OutputError
            If a sink fails.
        BrokenPipeError
            If the reader of standard output has gone.
        """
        close_all(self._workers.values(), seconds)

    def _open(self, wanted: WantedSink) -> SinkWorker:
        return SinkWorker(wanted.open(), self._device_manager.lossless)

    def _close(self, sinks: Iterable[WantedSink]) -> None:
        self._close_workers([self._workers.pop(one) for one in list(sinks)])

    def _close_workers(self, workers: Iterable[SinkWorker]) -> None:
        with _logged(), suppress(BrokenPipeError):
            close_all(workers, OLD_S)

    def _set_listeners(self) -> None:
        """Send the audio of the devices to the sinks that receive audio."""
        self._device_manager.listeners = [
            worker.hear for worker in self._workers.values() if isinstance(worker.sink, HearingSink)
        ]


@contextmanager
def _logged() -> Iterator[None]:
    """Log an OutputError of the block instead of raising it, so that the other sinks go on."""
    try:
        yield
    except OutputError as error:
        log.error("%s", error)
