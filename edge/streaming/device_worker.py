"""One device that is listened to: its source, its loop and its caption track, in a thread."""

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

WALL_TOLERANCE_S = 0.5  # The wall clock and the audio may differ by this before `at` follows.


class DeviceWorker:
    """Listens to `device` from `start` on.

    Its results go to `put`, which may wait; and None, once it has ended, by `error` or not.

    The thread that `start` begins owns the source, and closes it when it ends: a source that
    another thread closes while it is read crashes the process. `start`, `stop` and `status` may
    be called from any thread.
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
        """Prepare to listen to `source`, which belongs to the ear from now on.

        Parameters
        ----------
        numbers
            The numbers of its events, in order.
        before
            The ear whose clock goes on here, with a gap if it was stopped.
        tap
            Receives all audio, in the ear's thread, and must be quick.
        """
        self.device, self.source = device, source
        self.stopping = False  # Set by the first `stop`.
        began_s = 0.0 if before is None else before.loop.now_s
        self.loop: StreamingCaptioner = StreamingCaptioner(source, captioner, config, began_s, tap)
        if before is not None and before.stopping and not source.lossless:
            self.loop.skip(max(0.0, time.monotonic() - before.loop.lived_at))
        self.error: Exception | None = None
        self._put, self._numbers, self._state = put, numbers, "listening"
        self._began: datetime | None = None  # Wall-clock time of 0 s.
        self._event_began: dict[int, datetime] = {}  # The same, as each open event began.
        self._lock = threading.Lock()  # Guards `stopping` and the start of the thread.
        self._thread = threading.Thread(target=self._run, name=f"ear {device.label}", daemon=True)

    @property
    def overflows(self) -> int:
        """Times that the device itself lost audio."""
        return int(getattr(self.source, "overflows", 0))

    def stats(self) -> Stats:
        """Return what it counted so far."""
        return self.loop.stats.copy()

    def start(self) -> None:
        """Begin to listen, unless it does already or was stopped."""
        with self._lock:
            if self.stopping or self._thread.ident is not None:
                return
            wanted, source = self.loop.captioner.bundle.features.sample_rate, self.source
            if not getattr(source, "missing", False):  # That is logged when it is waited for.
                log.info("listening to %s at %d Hz; Ctrl-C ends", source.name, source.rate)
            if source.rate < wanted:
                missing = f"sounds above {source.rate / 2000:g} kHz are missing there"
                log.warning("%s; captions may be less true", missing)
            self._thread.start()

    def stop(self, timeout: float) -> None:
        """End, and wait up to `timeout` seconds until the device is given back.

        A thread that needs longer, for example within the model, closes the source afterwards.
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
        """Return its state; `past` counts earlier ears of the same device."""
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
        track = EventTracker(hop_s, numbers=self._numbers)
        try:
            for caption in self.loop.captions():
                self._state = caption.state
                if self.loop.config.hop_s != hop_s:
                    self._tell(None, track.end())
                    hop_s = self.loop.config.hop_s
                    track = EventTracker(hop_s, numbers=self._numbers)
                self._tell(caption, track.push(caption))
        except Exception as error:  # Reported by whoever takes the results.
            self.error = error
        # Nothing ends by itself while the loop is told to end: the rest of the audio is unknown.
        self._tell(None, track.end(source_ended=not self.loop.ended))
        self._close_source()
        self._put(self, None)

    def _close_source(self) -> None:
        try:
            self.source.close()
        except Exception as error:  # A device that fails now has been given up anyway.
            log.warning("%s: cannot be closed (%s)", self.source.name, error)

    def _tell(self, caption: Caption | None, events: Iterable[Event]) -> None:
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
        """Return when 0 s was; None if the audio is not live.

        It stays the same while the wall clock and the audio agree, so that the scheduling of this
        thread does not show in times. It follows when the clock is set, or a device's clock drifts.
        """
        if self.source.lossless:
            return None
        now = datetime.fromtimestamp(self.loop.wall_began, timezone.utc)
        if self._began is None or abs((now - self._began).total_seconds()) > WALL_TOLERANCE_S:
            self._began = now
        return self._began
