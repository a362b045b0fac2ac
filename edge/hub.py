"""All devices of a run, one model for them, and one stream of what they hear."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import astuple
from functools import partial

from edge.captioner import Captioner
from edge.config import StreamConfig
from edge.devices import Device, devices_of
from edge.ear import Ear
from edge.errors import AacStreamError
from edge.features import FeatureSpec, Floats
from edge.heard import Heard, Status
from edge.loop import Stats

log = logging.getLogger(__name__)

BEAT_S = 0.5  # `heard` gives the caller a turn this often
STUCK_S = 10.0  # a loop that asked for no audio for so long hangs
WAITING = 64  # captions of a file that is read as fast as it goes, while their reader is busy
KEPT = 3600  # captions of devices that do not wait, an hour; what follows is lost

# The settings for which a device is opened again.
OF_SOURCE = ("rate", "channels", "channel", "fast")


# Takes what captions call the device, the time of the first sample in seconds, and mono samples at
# the model's rate; called in the thread of each device, so it must be quick.
Listener = Callable[[str, float, Floats], None]


class Hub:
    """Listens to the devices of `config` from `start` to `close`."""

    def __init__(self, config: StreamConfig, captioner: Captioner) -> None:
        """Opens the devices.

        Raises: AudioError or DeviceError if one cannot be opened, and waiting would not help.
        """
        self.failed = False  # whether a device has ended by an error, while others went on
        self.listeners: list[Listener] = []
        self._config, self._captioner = config, captioner
        self._heard: deque[tuple[Ear, Heard | None]] = deque()
        self._news = threading.Condition()
        self._ears: list[Ear] = []
        self._past, self._past_overflows = Stats(), 0  # of devices that have ended
        self._open([(device, None) for device in devices_of(config.device)], config)

    def start(self) -> None:
        """Begin to listen with every device."""
        for ear in self._ears:
            ear.start()

    @property
    def lossless(self) -> bool:
        """Whether no device minds to wait for who reads what is heard."""
        return all(ear.source.lossless for ear in self._ears)

    @property
    def lives(self) -> bool:
        """Whether no loop hangs."""
        now = time.monotonic()
        return all(now - ear.loop.lived_at < STUCK_S for ear in self._ears)

    @property
    def listening(self) -> bool:
        """Whether a device has not ended, or something is left to be taken."""
        return bool(self._ears)

    def wait(self, seconds: float = BEAT_S) -> bool:
        """Wait until there is something to take, so long at most; whether there is."""
        with self._news:
            return self._news.wait_for(lambda: len(self._heard) > 0, seconds)

    def take(self) -> Heard | None:
        """What was heard next; None if that is not known, or a device has ended.

        A device that ends by an error is told on a line, and the others go on.

        Raises: the error of the device that ends last, if any; AudioError or DeviceError.
        """
        if not self._heard:
            return None
        ear, heard = self._heard.popleft()
        if heard is None and ear in self._ears:
            self._over(ear)
        return heard

    def heard(self) -> Iterator[Heard | None]:
        """What is heard, until every device has ended; None at times, to give the caller a turn.

        Raises: as `take`.
        """
        while self.listening:
            self.wait()
            yield self.take()

    def _over(self, ear: Ear) -> None:
        self._drop(ear, 0.0)
        if ear.error is not None and not self._ears:
            raise ear.error
        if ear.error is not None:
            self.failed = True
            bug = ear.error if not isinstance(ear.error, AacStreamError) else None
            log.error("%s; the other devices go on", ear.error, exc_info=bug)

    def _drop(self, ear: Ear, timeout: float) -> None:
        """End `ear`; what it counted stays, and nothing else of it: it holds much."""
        ear.stop(timeout)
        self._ears.remove(ear)
        counts = zip(astuple(self._past), astuple(ear.loop.stats), strict=True)
        self._past = Stats(*(a + b for a, b in counts))
        self._past_overflows += ear.overflows

    def change(self, config: StreamConfig, captioner: Captioner) -> None:
        """Go on with other settings or another model; only devices that change are opened again.

        Raises: AudioError or DeviceError if one of them cannot be; then all is as it was.
        """
        wanted = devices_of(config.device)
        again = any(getattr(config, key) != getattr(self._config, key) for key in OF_SOURCE)
        gone = [ear for ear in self._ears if again or ear.device not in wanted]
        ended = set(devices_of(self._config.device)) - {ear.device for ear in self._ears}
        kept = ended | {ear.device for ear in self._ears if ear not in gone}
        new = [device for device in wanted if device not in kept]
        for ear in gone:  # first, for a device may let in only one
            self._drop(ear, timeout=2.0)
        before: list[Ear | None] = [*gone, *[None] * len(new)]
        try:
            self._open(list(zip(new, before, strict=False)), config, captioner)
        except AacStreamError:
            self._open([(ear.device, ear) for ear in gone], self._config, self._captioner)
            self.start()
            raise
        self._config, self._captioner = config, captioner
        for ear in self._ears:
            ear.loop.change(config, captioner)
        self.start()

    def _open(
        self,
        devices: list[tuple[Device, Ear | None]],
        config: StreamConfig,
        captioner: Captioner | None = None,
    ) -> None:
        """All of `devices`, each after another whose clock it keeps; or none of them."""
        ears: list[Ear] = []
        try:
            for device, before in devices:
                follows = before or next(iter(self._ears), None)
                tap = partial(self._hear, device.label)
                model = captioner or self._captioner
                ears.append(Ear(device, config, model, self._put, follows, tap))
        except BaseException:
            for ear in ears:
                ear.stop(0.0)
            raise
        self._ears += ears

    def _put(self, ear: Ear, heard: Heard | None) -> None:
        """Called by the ears, in their threads."""
        if heard is not None:
            while ear.source.lossless and len(self._heard) >= WAITING and not ear.loop.ended:
                time.sleep(0.005)
            if len(self._heard) >= KEPT:
                return
        with self._news:
            self._heard.append((ear, heard))
            self._news.notify_all()

    def _hear(self, device: str, start_s: float, samples: Floats) -> None:
        """Called by the ears, in their threads."""
        for listener in self.listeners:
            listener(device, start_s, samples)

    @property
    def features(self) -> FeatureSpec:
        """Of the model in use; listeners get samples at its rate."""
        return self._captioner.bundle.features

    def stats(self) -> Stats:
        """Of all devices together."""
        counts = [astuple(s) for s in [self._past, *(ear.loop.stats for ear in self._ears)]]
        return Stats(*(sum(column) for column in zip(*counts, strict=True)))

    @property
    def overflows(self) -> int:
        """Times that a device itself lost audio."""
        return self._past_overflows + sum(ear.overflows for ear in self._ears)

    def status(self) -> list[Status]:
        """How each device is now."""
        return [ear.status() for ear in list(self._ears)]

    def close(self, timeout: float = 0.8) -> list[Heard]:
        """End, as far as it does within `timeout` seconds; returns what was heard last."""
        for ear in self._ears:
            ear.loop.end()
        until = time.monotonic() + timeout
        for ear in list(self._ears):
            self._drop(ear, max(0.0, until - time.monotonic()))
        rest = [heard for _, heard in self._heard if heard is not None]
        self._heard.clear()
        return rest
