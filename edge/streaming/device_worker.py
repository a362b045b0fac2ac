"""Run one device in a thread: its source, its streaming captioner and its event tracker."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone

from edge.audio.file import Source
from edge.config import StreamConfig
from edge.device_setting import Device
from edge.inference.captioner import Captioner
from edge.streaming.event_tracker import Event, EventTracker
from edge.streaming.pipeline import Caption, Stats, StreamingCaptioner, Tap
from edge.streaming.results import Status, WindowResult

log = logging.getLogger(__name__)

# The wall clock and the audio may differ by so many seconds before wall-clock times are adjusted.
WALL_TOLERANCE_S = 0.5


class DeviceWorker:
    """Caption one device in a thread of its own.

    The worker passes its results to `put`, and None when it has ended. `error` is then the
    exception that ended it, or None.

    The thread that `start` begins owns the source and closes it at its end, because closing a
    source while another thread reads it crashes the process. `start`, `stop` and `status` may be
    called from any thread.
    """

    def __init__(
        self,
        device: Device,
        source: Source,
        config: StreamConfig,
        captioner: Captioner,
        put: Callable[[DeviceWorker, WindowResult | None], None],
        numbers: Iterator[int],
        before: DeviceWorker | None = None,
        tap: Tap | None = None,
    ) -> None:
        """Prepare to read `source`, which belongs to the worker from now on.

        Parameters
        ----------
        device
            The device and its label.
        source
            The audio of the device.
        config
            The settings of the run.
        captioner
            The model, which other workers share.
        put
            Takes the worker and each result, or None at the end. It runs in the worker's thread and
            may wait.
        numbers
            Numbers for the events of the device, in order.
        before
            The earlier worker whose clock continues here. If it was stopped and the audio is live,
            the time since then counts as lost audio.
        tap
            Receives all audio. It runs in the worker's thread and must be quick.
        """
        self.device, self.source = device, source
        self.stopping = False  # True after the first `stop`.
        began_s = 0.0 if before is None else before.loop.now_s
        self.loop: StreamingCaptioner = StreamingCaptioner(source, captioner, config, began_s, tap)
        if before is not None and before.stopping and not source.lossless:
            self.loop.skip(max(0.0, time.monotonic() - before.loop.lived_at))
        self.error: Exception | None = None
        self._put, self._numbers, self._state = put, numbers, "listening"
        self._began: datetime | None = None  # Wall-clock time of 0 s of the stream.
        # Value of `_began` when each open event opened, by event number.
        self._event_began: dict[int, datetime] = {}
        self._lock = threading.Lock()  # Guards `stopping` and the start of the thread.
        self._thread = threading.Thread(target=self._run, name=f"ear {device.label}", daemon=True)

    @property
    def overflows(self) -> int:
        """How many times the device itself lost audio."""
        return int(getattr(self.source, "overflows", 0))

    def stats(self) -> Stats:
        """Return a copy of the counts so far."""
        return self.loop.stats.copy()

    def start(self) -> None:
        """Start the thread, unless it was started or stopped before."""
        with self._lock:
            if self.stopping or self._thread.ident is not None:
                return
            model_rate, source = self.loop.captioner.bundle.features.sample_rate, self.source
            if not getattr(source, "missing", False):  # The source itself logs that it is missing.
                log.info("listening to %s at %d Hz; Ctrl-C ends", source.name, source.rate)
            if source.rate < model_rate:
                missing = f"sounds above {source.rate / 2000:g} kHz are missing there"
                log.warning("%s; captions may be less true", missing)
            self._thread.start()

    def stop(self, timeout: float) -> None:
        """Stop, and wait up to `timeout` seconds until the device is released.

        A thread that needs longer, for example while the model runs, closes the source later.
        """
        self.loop.end()
        with self._lock:
            first, self.stopping = not self.stopping, True
            started = self._thread.ident is not None
        if not started:
            if first:
                self._close_source()
        elif threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def status(self, past: Stats) -> Status:
        """Return the state of the device; `past` holds the counts of its earlier workers."""
        stats = self.stats() + past
        return Status(
            device=self.device.label,
            name=self.source.name,
            state=self._state,
            level_db=round(self.loop.level_db, 1),
            now_s=round(self.loop.now_s, 3),
            windows=stats.windows,
            skipped_windows=stats.skipped_windows,
            lost_s=stats.lost_s,
        )

    def _run(self) -> None:
        hop_s = self.loop.config.hop_s
        tracker = EventTracker(hop_s, numbers=self._numbers)
        try:
            for caption in self.loop.captions():
                self._state = caption.state
                if self.loop.config.hop_s != hop_s:
                    self._emit(None, tracker.end())
                    hop_s = self.loop.config.hop_s
                    tracker = EventTracker(hop_s, numbers=self._numbers)
                self._emit(caption, tracker.push(caption))
        except Exception as error:  # The reader of the results reports it.
            self.error = error
        # If the worker is stopped, the source has not ended: the rest of its audio is unknown.
        self._emit(None, tracker.end(source_ended=not self.loop.ended))
        self._close_source()
        self._put(self, None)

    def _close_source(self) -> None:
        try:
            self.source.close()
        except Exception as error:  # The device is not needed any more.
            log.warning("%s: cannot be closed (%s)", self.source.name, error)

    def _emit(self, caption: Caption | None, events: Iterable[Event]) -> None:
        events = tuple(events)
        began = self._wall_time_of_0_s()
        event_began: dict[int, datetime] = {}
        if began is not None:
            for event in events:
                event_began[event.number] = self._event_began.setdefault(event.number, began)
                if not event.open:
                    del self._event_began[event.number]
        self._put(self, WindowResult(self.device.label, caption, events, began, event_began))

    def _wall_time_of_0_s(self) -> datetime | None:
        """Return the wall-clock time of 0 s of the stream; None if the audio is not live.

        The value is constant while the wall clock and the audio agree within WALL_TOLERANCE_S, so
        that delays of this thread do not change times. It changes if the clock is set, or if the
        clock of the device drifts.
        """
        if self.source.lossless:
            return None
        now = datetime.fromtimestamp(self.loop.wall_began, timezone.utc)
        if self._began is None or abs((now - self._began).total_seconds()) > WALL_TOLERANCE_S:
            self._began = now
        return self._began
