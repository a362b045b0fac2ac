"""The worker thread of a sink. A slow or failing sink never stops the captions or other sinks.

The thread of a `SinkWorker` owns the sink: only this thread makes and puts pieces, and reopens,
configures and closes the sink. Windows wait for it in a `Backlog`, which defines the drop policy of
a full queue. If the sources wait for the sinks (files with --fast), no window is dropped, because
the main thread waits for room.
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

KEPT = 10_000  # Maximum number of windows queued for a failing sink: some hours.
WAITING = 64  # Maximum number of windows queued for a sink if the sources wait for it.
FIRST_WAIT_S = 1.0  # Seconds before the first retry of a failed piece; each retry doubles the wait.
LONGEST_WAIT_S = 30.0  # Maximum number of seconds between two retries.
REOPEN_S = 2.0  # Seconds to wait for a busy sink to reopen its file; captions wait meanwhile.
CANCEL_S = 0.25  # Seconds that all cancelled sinks together may take to close.


class SinkWorker:
    """Passes pushed windows to `sink`, in order.

    If the sink fails, the worker logs it once and tries again. If the sources wait for the sink,
    the worker stops and `wait` raises the error. A window is skipped if the sink raises an error
    other than OutputError or BrokenPipeError for it.

    Parameters
    ----------
    sink
        The sink that this worker owns and closes.
    sources_wait
        True if the sources wait for the sink, so that no window is dropped.
    """

    def __init__(self, sink: Sink[Any], sources_wait: bool) -> None:
        self.sink, self._sources_wait = sink, sources_wait
        self._condition = threading.Condition()  # Guards all attributes below.
        self._backlog = Backlog(KEPT)
        self._config: StreamConfig | None = None  # New settings for the sink.
        self._reopening: Future[None] | None = None
        self._ending = False
        self._closed = False  # True once the thread no longer uses the sink.
        self._busy = False  # True while the thread makes or puts a piece.
        self._error: BaseException | None = None  # The error that ended the thread.
        self._failing_since: float | None = None
        self._lost = 0  # Number of windows lost since the sink last worked.
        self._left_out = 0  # Total number of windows skipped because the sink raised an error.
        # Types of unexpected errors that were logged; each type is logged once.
        self._logged_types: set[type[Exception]] = set()
        self._reported = False
        self._thread = threading.Thread(target=self._run, name=sink.name, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the queue has room, if the sources wait for the sink; else return at once.

        Raises
        ------
        OutputError
            If the sink has failed for good.
        BrokenPipeError
            If the reader of the sink has gone.
        """
        with self._condition:
            while self._sources_wait and len(self._backlog) >= WAITING and not self._closed:
                self._condition.wait(0.5)
            if self._error is not None:
                raise self._error

    def push(self, result: WindowResult) -> None:
        """Queue `result` for the sink and return at once."""
        with self._condition:
            if self._closed:
                return
            dropped = self._backlog.push(result)
            if dropped and not self._lost:
                log.warning("%s: has long taken nothing; the oldest is lost", self.sink.name)
            self._lost += dropped
            self._condition.notify_all()

    def hear(self, device: str, start_s: float, samples: Floats) -> None:
        """Pass audio to the sink if it receives audio; called in the device threads.

        Parameters
        ----------
        device
            Label of the device in captions.
        start_s
            Time of the first sample in seconds.
        samples
            Mono samples at the model's sample rate, shape (n_samples,).
        """
        if isinstance(self.sink, HearingSink):
            try:
                self.sink.hear(device, start_s, samples)
            except Exception as error:  # A sink error must not stop a device.
                self._log_once(error)

    def configure(self, config: StreamConfig, sources_wait: bool) -> None:
        """Queue changed settings for the sink and return at once."""
        with self._condition:
            self._sources_wait = sources_wait
            if isinstance(self.sink, ConfigurableSink):
                self._config = config
            self._condition.notify_all()

    def reopen(self) -> None:
        """Have the sink open its file again, in case it was moved away.

        Raises
        ------
        OutputError
            If the file cannot be opened or the sink is busy for longer than `REOPEN_S`. The
            previous file then stays open.
        """
        if not isinstance(self.sink, ReopeningSink):
            return
        with self._condition:
            if self._closed:
                return
            done = self._reopening = Future()
            self._condition.notify_all()
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
        """Write the queued windows and close the sink.

        Parameters
        ----------
        timeout
            Time limit in seconds; None waits without a limit.

        Raises
        ------
        OutputError
            If the sink fails.
        BrokenPipeError
            If the reader of the sink has gone.
        """
        close_all([self], timeout)

    def end(self) -> None:
        """Tell the thread to write the queued windows and close the sink; return at once."""
        with self._condition:
            self._ending = True
            self._condition.notify_all()

    def join(self, timeout: float | None) -> bool:
        """Wait up to `timeout` seconds for the thread; return True if the sink is closed."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def cancel(self) -> None:
        """Cancel a waiting `put` of the sink, so that the thread can close the sink."""
        if isinstance(self.sink, CancellableSink):
            try:
                self.sink.cancel()
            except Exception as error:
                self._log_once(error)

    def report(self) -> None:
        """Report, once only, the windows that did not reach the sink.

        Raises
        ------
        OutputError
            If the sink fails.
        BrokenPipeError
            If the reader of the sink has gone.
        """
        with self._condition:
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

    # --- The methods below run in the worker thread, except `_log_once`, which any thread calls.

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
                self._log_once(error)
            with self._condition:
                self._closed = True
                reopening, self._reopening = self._reopening, None
                self._condition.notify_all()
            if reopening is not None:
                reopening.set_result(None)

    def _next(self) -> Callable[[], Any] | None:
        """Wait for work and return the next call that makes a piece, or None at the end."""
        while True:
            with self._condition:
                self._condition.wait_for(
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
                    result = self._backlog.pop()
                    self._condition.notify_all()
                    return partial(self.sink.of, result)
            self._reopen(reopening)

    def _deliver(self, make: Callable[[], Any]) -> None:
        """Call `make` and put the piece that it returns, if any."""
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
        """Put the piece and retry until it succeeds or the run ends."""
        wait_s = FIRST_WAIT_S
        while True:
            last = self._ending
            try:
                self.sink.put(piece)
            except OutputError as error:
                if self._sources_wait or last:
                    raise
                self._record_failure(error)
            except BrokenPipeError:
                raise
            except Exception as error:  # A retry would fail in the same way.
                return self._leave_out(error)
            else:
                return self._record_success()
            self._pause(wait_s)
            wait_s = min(2.0 * wait_s, LONGEST_WAIT_S)

    def _leave_out(self, error: Exception) -> None:
        self._log_once(error)
        with self._condition:
            self._lost += 1
            self._left_out += 1

    def _pause(self, seconds: float) -> None:
        """Wait before a retry; the end of the run or a request to reopen ends the wait early."""
        with self._condition:
            self._condition.wait_for(lambda: self._ending or self._reopening is not None, seconds)
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

    def _log_once(self, error: Exception) -> None:
        """Log an error that sinks should not raise, once for each type of error."""
        if type(error) in self._logged_types:
            return
        self._logged_types.add(type(error))
        if isinstance(error, AacStreamError):
            log.error("%s", error)
        else:
            trace = log.isEnabledFor(logging.DEBUG)
            log.error("%s: failed (%r); the run goes on", self.sink.name, error, exc_info=trace)

    def _record_failure(self, error: AacStreamError) -> None:
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            log.warning("%s; what is heard is kept, and tried again", error)

    def _record_success(self) -> None:
        with self._condition:
            lost, self._lost = self._lost, 0
        since, self._failing_since = self._failing_since, None
        if since is None and not lost:
            return
        after = "" if since is None else f" after {time.monotonic() - since:.0f} s"
        gone = f"; {lost} captions are lost" if lost else ""
        log.warning("%s: works again%s%s", self.sink.name, after, gone)


def close_all(workers: Iterable[SinkWorker], timeout: float | None) -> None:
    """Close all `workers` at the same time.

    Parameters
    ----------
    workers
        The workers to close.
    timeout
        Time limit in seconds, after which busy sinks are cancelled and get `CANCEL_S` more. None
        waits without a limit.

    Raises
    ------
    BrokenPipeError
        If the reader of a sink has gone.
    OutputError
        If a sink failed and no BrokenPipeError is raised. The OutputErrors of other sinks are
        logged.
    """
    workers = list(workers)
    for worker in workers:
        worker.end()
    busy = _join(workers, timeout)
    for worker in busy:
        worker.cancel()
    _join(busy, CANCEL_S)
    failed: OutputError | BrokenPipeError | None = None
    for worker in workers:
        try:
            worker.report()
        except BrokenPipeError as error:
            failed = failed or error
        except OutputError as error:
            if isinstance(failed, OutputError):
                log.error("%s", failed)
            failed = error
    if failed is not None:
        raise failed


def _join(workers: list[SinkWorker], timeout: float | None) -> list[SinkWorker]:
    """Wait up to `timeout` seconds for all `workers`; return those that are not closed."""
    deadline = None if timeout is None else time.monotonic() + timeout
    return [
        worker
        for worker in workers
        if not worker.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
    ]
