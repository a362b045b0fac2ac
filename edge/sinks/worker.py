"""A sink in a thread of its own: whatever becomes of it, the captions and the other sinks go on.

The thread of an `SinkWorker` owns the sink: it alone makes, puts, reopens, configures and closes.
Windows wait for it in a `Backlog`, which says what a full queue gives up. Where the sources wait
for the sinks (files with --fast), nothing is given up: the main thread waits for room.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from typing import Any

from edge.config import StreamConfig
from edge.errors import AacStreamError, OutputError
from edge.inference.features import Floats
from edge.sinks.backlog import Backlog
from edge.sinks.base import CancellableSink, ConfigurableSink, HearingSink, ReopeningSink, Sink
from edge.streaming.results import WindowResult

log = logging.getLogger(__name__)

KEPT = 10_000  # Windows that wait for a sink that fails: some hours.
WAITING = 64  # Windows that wait for a sink where the sources wait for it.
FIRST_WAIT_S = 1.0  # Before a failed sink is tried again; then twice as long each time.
LONGEST_WAIT_S = 30.0
REOPEN_S = 2.0  # A sink that is busy for longer is not reopened: the captions wait meanwhile.
CANCEL_S = 0.25  # For all cancelled sinks together to close.


class SinkWorker:
    """Hands what is pushed to `sink`, in order.

    If that fails, it is said once, and tried again; or, if sources wait for it, `wait` raises.
    A window for which the sink raises anything but OutputError or BrokenPipeError is left out.
    """

    def __init__(self, sink: Sink[Any], sources_wait: bool) -> None:
        self.sink, self._sources_wait = sink, sources_wait
        self._news = threading.Condition()  # Guards what follows.
        self._backlog = Backlog(KEPT)
        self._config: StreamConfig | None = None  # To be taken over.
        self._reopening: Future[None] | None = None
        self._ending = False
        self._over = False  # The thread uses the sink no more.
        self._busy = False  # A piece is being put.
        self._error: BaseException | None = None  # That ended it.
        self._failing_since: float | None = None
        self._lost = 0  # Windows, since it last worked.
        self._left_out = 0  # Windows for which the sink raised, in all.
        self._told: set[type[Exception]] = set()  # Unexpected errors, each logged once.
        self._reported = False
        self._thread = threading.Thread(target=self._run, name=sink.name, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for room, if sources wait for the sink; else it never has none.

        Raises: OutputError if such a sink failed, BrokenPipeError if nobody reads any more.
        """
        with self._news:
            while self._sources_wait and len(self._backlog) >= WAITING and not self._over:
                self._news.wait(0.5)
            if self._error is not None:
                raise self._error

    def push(self, heard: WindowResult) -> None:
        """Hand it over; returns at once."""
        with self._news:
            if self._over:
                return
            dropped = self._backlog.push(heard)
            if dropped and not self._lost:
                log.warning("%s: has long taken nothing; the oldest is lost", self.sink.name)
            self._lost += dropped
            self._news.notify_all()

    def hear(self, device: str, start_s: float, samples: Floats) -> None:
        """Hand audio to a sink that wants it; called in the threads of the devices."""
        if isinstance(self.sink, HearingSink):
            try:
                self.sink.hear(device, start_s, samples)
            except Exception as error:  # No sink may end a device.
                self._tell(error)

    def configure(self, config: StreamConfig, sources_wait: bool) -> None:
        """Have the sink take over changed settings; returns at once."""
        with self._news:
            self._sources_wait = sources_wait
            if isinstance(self.sink, ConfigurableSink):
                self._config = config
            self._news.notify_all()

    def reopen(self) -> None:
        """Open anew what may have been moved away.

        Raises: OutputError; then what was open stays so.
        """
        if not isinstance(self.sink, ReopeningSink):
            return
        with self._news:
            if self._over:
                return
            done = self._reopening = Future()
            self._news.notify_all()
        try:
            done.result(REOPEN_S)
        except OutputError:
            raise
        except FutureTimeoutError:
            problem = "takes nothing, so it cannot be opened again"
            raise OutputError(f"{self.sink.name}: {problem}") from None
        except Exception as error:
            raise OutputError(f"{self.sink.name}: cannot be opened again ({error})") from None

    def close(self, timeout: float | None) -> None:
        """Write what is left, as far as that goes within `timeout` seconds, if any.

        Raises: OutputError if the sink fails, BrokenPipeError if nobody reads any more.
        """
        close_all([self], timeout)

    def end(self) -> None:
        """Have the thread write what is left, and close the sink; returns at once."""
        with self._news:
            self._ending = True
            self._news.notify_all()

    def join(self, timeout: float | None) -> bool:
        """Wait until the sink is closed; return whether it is."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def cancel(self) -> None:
        """Have what the sink waits for end soon, so that its thread gets to close it."""
        if isinstance(self.sink, CancellableSink):
            try:
                self.sink.cancel()
            except Exception as error:
                self._tell(error)

    def report(self) -> None:
        """Say once what did not reach the sink.

        Raises: OutputError if the sink fails, BrokenPipeError if nobody reads any more.
        """
        with self._news:
            if self._reported:
                return
            self._reported = True
            left = len(self._backlog) + self._busy
            lost = self._lost
            if self._sources_wait:
                lost = max(lost, self._left_out)
            failing = self._failing_since is not None
        if self._error is not None:
            raise self._error
        if failing or lost:
            raise OutputError(f"{self.sink.name}: {lost + left} captions could not be written")
        if left:
            log.warning("%s: is busy; %d captions did not reach it", self.sink.name, left)

    # --- in the thread

    def _run(self) -> None:
        try:
            while (make := self._next()) is not None:
                self._deliver(make)
            self._deliver(self.sink.end)
        except (OutputError, BrokenPipeError) as error:
            self._error = error
        finally:
            try:
                self.sink.close()
            except Exception as error:
                self._tell(error)
            with self._news:
                self._over = True
                reopening, self._reopening = self._reopening, None
                self._news.notify_all()
            if reopening is not None:
                reopening.set_result(None)

    def _next(self) -> Callable[[], Any] | None:
        """Wait for the next call that makes a piece; None at the end."""
        while True:
            with self._news:
                self._news.wait_for(
                    lambda: (
                        self._reopening is not None
                        or self._config is not None
                        or len(self._backlog) > 0
                        or self._ending
                    )
                )
                reopening, self._reopening = self._reopening, None
                if reopening is None:
                    config, self._config = self._config, None
                    if config is not None and isinstance(self.sink, ConfigurableSink):
                        return partial(self.sink.configure, config)
                    if not len(self._backlog):
                        return None
                    heard = self._backlog.pop()
                    self._news.notify_all()
                    return partial(self.sink.of, heard)
            self._reopen(reopening)

    def _deliver(self, make: Callable[[], Any]) -> None:
        """Make the piece, and put it if there is one."""
        self._busy = True
        try:
            piece = make()
        except Exception as error:
            self._leave_out(error)
        else:
            if piece is not None:
                self._put(piece)
        self._busy = False

    def _put(self, piece: Any) -> None:
        """Put the piece; try again until that is done or the run ends."""
        wait_s = FIRST_WAIT_S
        while True:
            last = self._ending
            try:
                self.sink.put(piece)
            except OutputError as error:
                if self._sources_wait or last:
                    raise
                self._fails(error)
            except BrokenPipeError:
                raise
            except Exception as error:  # Trying the same again would fail again.
                return self._leave_out(error)
            else:
                return self._works()
            self._pause(wait_s)
            wait_s = min(2.0 * wait_s, LONGEST_WAIT_S)

    def _leave_out(self, error: Exception) -> None:
        self._tell(error)
        with self._news:
            self._lost += 1
            self._left_out += 1

    def _pause(self, seconds: float) -> None:
        """Wait before the next attempt; the end of the run and a reopened file cut it short."""
        with self._news:
            self._news.wait_for(lambda: self._ending or self._reopening is not None, seconds)
            reopening, self._reopening = self._reopening, None
        if reopening is not None:
            self._reopen(reopening)

    def _reopen(self, done: Future[None]) -> None:
        try:
            if isinstance(self.sink, ReopeningSink):
                self.sink.reopen()
            done.set_result(None)
        except Exception as error:
            done.set_exception(error)

    def _tell(self, error: Exception) -> None:
        """Log an error that no sink should raise, once for each type; the run goes on."""
        if type(error) in self._told:
            return
        self._told.add(type(error))
        if isinstance(error, AacStreamError):
            log.error("%s", error)
        else:
            trace = log.isEnabledFor(logging.DEBUG)
            log.error("%s: failed (%r); the run goes on", self.sink.name, error, exc_info=trace)

    def _fails(self, error: AacStreamError) -> None:
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            log.warning("%s; what is heard is kept, and tried again", error)

    def _works(self) -> None:
        with self._news:
            lost, self._lost = self._lost, 0
        since, self._failing_since = self._failing_since, None
        if since is None and not lost:
            return
        after = "" if since is None else f" after {time.monotonic() - since:.0f} s"
        gone = f"; {lost} captions are lost" if lost else ""
        log.warning("%s: works again%s%s", self.sink.name, after, gone)


def close_all(outlets: Iterable[SinkWorker], timeout: float | None) -> None:
    """Close `outlets` at the same time, within `timeout` seconds, if any, and `CANCEL_S`.

    Raises: the error of one that failed; those of the others are logged.
    """
    outlets = list(outlets)
    for outlet in outlets:
        outlet.end()
    busy = _join(outlets, timeout)
    for outlet in busy:
        outlet.cancel()
    _join(busy, CANCEL_S)
    failed: OutputError | BrokenPipeError | None = None
    for outlet in outlets:
        try:
            outlet.report()
        except BrokenPipeError as error:
            failed = failed or error
        except OutputError as error:
            if isinstance(failed, OutputError):
                log.error("%s", failed)
            failed = error
    if failed is not None:
        raise failed


def _join(outlets: list[SinkWorker], timeout: float | None) -> list[SinkWorker]:
    """Wait for all; return those that are not closed within `timeout` seconds."""
    until = None if timeout is None else time.monotonic() + timeout
    return [
        outlet
        for outlet in outlets
        if not outlet.join(None if until is None else max(0.0, until - time.monotonic()))
    ]
