"""One device that is listened to: its source, its loop and its caption track, in a thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timezone

from edge.captioner import Captioner
from edge.config import StreamConfig
from edge.devices import Device
from edge.heard import Heard, Status
from edge.loop import Caption, Loop, Tap
from edge.opening import open_source
from edge.track import Event, Track

log = logging.getLogger(__name__)


class Ear:
    """Listens to `device` from `start` on.

    What it hears goes to `put`, which may wait; and None, once it has ended, by `error` or not.
    """

    def __init__(
        self,
        device: Device,
        config: StreamConfig,
        captioner: Captioner,
        put: Callable[[Ear, Heard | None], None],
        before: Ear | None = None,
        tap: Tap | None = None,
    ) -> None:
        """Opens the device. Its clock goes on from that of `before`, with a gap if that has ended.

        `tap` is given all audio, in the ear's thread, and must be quick.

        Raises: AudioError or DeviceError if it cannot be opened, and waiting would not help.
        """
        self.device = device
        self.source = open_source(device.what, config)
        began_s = 0.0 if before is None else before.loop.now_s
        self.loop: Loop = Loop(self.source, captioner, config, began_s, tap)
        if before is not None and before.stopped and not self.source.lossless:
            self.loop.skip(time.monotonic() - before.loop.lived_at)
        self.error: Exception | None = None
        self._put, self._state = put, "listening"
        self._thread = threading.Thread(target=self._run, name=f"ear {device.label}", daemon=True)

    @property
    def stopped(self) -> bool:
        """Whether it listens no more."""
        return not self._thread.is_alive()

    @property
    def overflows(self) -> int:
        """Times that the device itself lost audio."""
        return int(getattr(self.source, "overflows", 0))

    def start(self) -> None:
        """Begin to listen, if it does not yet."""
        if self._thread.ident is not None:
            return
        bundle = self.loop.captioner.bundle
        wanted, source = bundle.features.sample_rate, self.source
        log.info("listening to %s at %d Hz; Ctrl-C ends", source.name, source.rate)
        if source.rate < wanted:
            missing = f"sounds above {source.rate / 2000:g} kHz are missing there"
            log.warning("%s; captions may be less true", missing)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End, as far as it does within `timeout` seconds, and give the device back."""
        self.loop.end()
        if self._thread.is_alive():
            self._thread.join(timeout)
        self.source.close()

    def status(self) -> Status:
        """How it is now."""
        stats = self.loop.stats
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
        track = Track(hop_s)
        try:
            for caption in self.loop.captions():
                self._state = caption.state
                if self.loop.config.hop_s != hop_s:
                    self._tell(None, track.end())
                    hop_s = self.loop.config.hop_s
                    track = Track(hop_s)
                self._tell(caption, track.push(caption))
        except Exception as error:  # said by whoever reads what is heard
            self.error = error
        self._tell(None, track.end())
        self._put(self, None)

    def _tell(self, caption: Caption | None, events: Iterable[Event]) -> None:
        began = None
        if not self.source.lossless:
            began = datetime.fromtimestamp(time.time() - self.loop.now_s, timezone.utc)
        self._put(self, Heard(self.device.label, caption, tuple(events), began))
