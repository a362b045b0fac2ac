"""A sink in a thread of its own: whatever becomes of it, the loop goes on."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import Any

from edge.errors import AacStreamError, OutputError
from edge.heard import Heard
from edge.sinks.sink import Sink

log = logging.getLogger(__name__)

KEPT = 10_000  # captions that wait for a sink that fails, some hours; then the oldest are lost
WAITING = 64  # captions that wait for a sink, where the sources wait for it
FIRST_WAIT_S = 1.0  # before a sink that failed is tried again, then twice as long each time
LONGEST_WAIT_S = 30.0


class Outlet:
    """Hands what is pushed to `sink`, in order.

    If that fails, it is said once, and tried again; or, if sources wait for it, `wait` raises.
    """

    def __init__(self, sink: Sink[Any], sources_wait: bool) -> None:
        self.sink, self._sources_wait = sink, sources_wait
        self._heard: deque[Heard] = deque()
        self._piece: Any = None  # being put
        self._news = threading.Condition()
        self._using = threading.Lock()  # the sink
        self._ending = False
        self._error: BaseException | None = None  # that ended it
        self._failing_since: float | None = None
        self._lost = 0
        self._thread = threading.Thread(target=self._run, name=sink.name, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for room, if sources wait for the sink; else it never has none.

        Raises: OutputError if such a sink failed, BrokenPipeError if nobody reads any more.
        """
        with self._news:
            while self._sources_wait and len(self._heard) >= WAITING and self._error is None:
                self._news.wait(0.5)
            if self._error is not None:
                raise self._error

    def push(self, heard: Heard) -> None:
        """Hand it over; returns at once."""
        with self._news:
            if len(self._heard) >= KEPT:
                self._heard.popleft()
                self._lost += 1
                if self._lost == 1:
                    log.warning("%s: has long taken nothing; the oldest is lost", self.sink.name)
            self._heard.append(heard)
            self._news.notify_all()

    def reopen(self) -> None:
        """Open anew what may have been moved away.

        Raises: OutputError; then what was open stays so.
        """
        if not self._using.acquire(timeout=2.0):
            raise OutputError(f"{self.sink.name}: takes nothing, so it cannot be opened again")
        try:
            self.sink.reopen()
        finally:
            self._using.release()

    def close(self, timeout: float | None) -> None:
        """Write what is left, as far as that goes within `timeout` seconds, if any.

        Raises: OutputError if the sink fails, BrokenPipeError if nobody reads any more.
        """
        with self._news:
            self._ending = True
            self._news.notify_all()
        self._thread.join(timeout)
        if not self._thread.is_alive():
            self.sink.close()
        if self._error is not None:
            raise self._error
        left = self._lost + len(self._heard)
        if self._failing_since is not None or self._lost:
            left += self._piece is not None
            raise OutputError(f"{self.sink.name}: {left} captions could not be written")
        if left:
            log.warning("%s: is busy; %d captions did not reach it", self.sink.name, left)

    def _run(self) -> None:
        try:
            while (heard := self._next()) is not None:
                self._piece = self.sink.of(heard)
                self._deliver()
            self._piece = self.sink.end()
            self._deliver()
        except (OutputError, BrokenPipeError) as error:
            with self._news:
                self._error = error
                self._news.notify_all()

    def _next(self) -> Heard | None:
        with self._news:
            while not self._heard:
                if self._ending:
                    return None
                self._news.wait()
            heard = self._heard.popleft()
            self._news.notify_all()
            return heard

    def _deliver(self) -> None:
        """Put the piece, and try until it is done or the run ends."""
        wait = FIRST_WAIT_S
        while self._piece is not None:
            last = self._ending
            try:
                with self._using:
                    self.sink.put(self._piece)
                self._piece = None
                self._works()
            except OutputError as error:
                if self._sources_wait or last:
                    raise
                self._fails(error)
                with self._news:
                    if not self._ending:
                        self._news.wait_for(lambda: self._ending, wait)
                wait = min(2.0 * wait, LONGEST_WAIT_S)

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
