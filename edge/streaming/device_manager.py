"""All devices of a run, one model for them, and one stream of what they hear."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count

from edge.audio.file import Source
from edge.audio.source_factory import excludes, open_source, waiting_source
from edge.config import StreamConfig
from edge.device_setting import Device, devices_of
from edge.errors import AacStreamError, UnavailableError
from edge.inference.captioner import Captioner
from edge.inference.features import FeatureSpec, Floats
from edge.streaming.device_worker import DeviceWorker
from edge.streaming.pipeline import Stats
from edge.streaming.results import Status, WindowResult

log = logging.getLogger(__name__)

BEAT_S = 0.5  # `heard` gives the caller a turn this often
STUCK_S = 10.0  # a loop that asked for no audio for so long hangs
WAITING = 64  # captions of a file that is read as fast as it goes, while their reader is busy
KEPT = 3600  # Windows, about an hour, that wait for a reader; later ones are dropped.
LAST_S = 1.0  # A thread that has put its last result needs no more than this to end.
CHANGE_S = 2.0  # A device that changes gets this long to end.

# The settings for which a device is opened again.
OF_SOURCE = ("rate", "channels", "channel", "fast")


# Takes what captions call the device, the time of the first sample in seconds, and mono samples at
# the model's rate; called in the thread of each device, so it must be quick.
Listener = Callable[[str, float, Floats], None]


class DeviceManager:
    """Listens to the devices of `config` from `start` to `close`.

    Every method may be called from any thread. `_state` guards the lists, the counters and the
    queue, and is held only for moments. `_turn` is held while devices are opened and stopped, so
    that `change` and `close` follow each other. An ear is claimed, that is moved from `_ears` to
    `_leaving`, under `_state` and stopped outside it, by the one thread that claimed it.
    """

    def __init__(self, config: StreamConfig, captioner: Captioner) -> None:
        """Open the devices.

        Raises
        ------
        AudioError, DeviceError
            If one cannot be opened, and waiting for it would not help.
        """
        self.failed = False  # whether a device has ended by an error, while others went on
        self.listeners: list[Listener] = []
        self.unread_windows = 0  # Windows that were dropped because nobody took them.
        self._config, self._captioner = config, captioner
        self._state, self._turn = threading.Condition(threading.RLock()), threading.RLock()
        self._closed = False
        self._heard: deque[tuple[DeviceWorker, WindowResult | None]] = deque()
        self._dropped = 0  # Windows since the queue was last taken from.
        self._open_events: set[tuple[str, int]] = set()  # Whose opening was put into the queue.
        self._ears: list[DeviceWorker] = []
        self._leaving: list[DeviceWorker] = []  # Claimed, and not stopped yet.
        self._past: dict[str, Stats] = {}  # Of stopped ears, by label.
        self._past_overflows = 0
        self._numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(1))
        sources = self._open(devices_of(config.device), config, others=False)
        self._ears = [self._ear(device, source, config) for device, source in sources]

    def start(self) -> None:
        """Begin to listen with every device."""
        for ear in self._present():
            ear.start()

    @property
    def lossless(self) -> bool:
        """Whether no device minds to wait for who reads what is heard."""
        return all(ear.source.lossless for ear in self._present())

    @property
    def lives(self) -> bool:
        """Whether no loop hangs."""
        now = time.monotonic()
        return all(now - ear.loop.lived_at < STUCK_S for ear in self._present())

    @property
    def late(self) -> bool:
        """Whether the model has been slower than a device, so that windows were skipped."""
        return any(ear.loop.late for ear in self._present())

    @property
    def listening(self) -> bool:
        """Whether a device has not ended, or something is left to be taken."""
        return bool(self._present())

    def _present(self) -> list[DeviceWorker]:
        with self._state:
            return list(self._ears)

    def wait(self, seconds: float = BEAT_S) -> bool:
        """Wait up to `seconds` until there is something to take; return whether there is."""
        with self._state:
            self._state.wait_for(lambda: self._heard or self._closed, seconds)
            return bool(self._heard)

    def take(self) -> WindowResult | None:
        """Return the next result; None if there is none yet, or a device has ended.

        A device that ends by an error is logged, and the others go on.

        Raises
        ------
        AudioError, DeviceError
            The error of the device that ends last, if any.
        """
        with self._state:
            if not self._heard:
                return None
            ear, heard = self._heard.popleft()
            self._state.notify_all()
            dropped = 0
            if not self._heard:  # A reader that is only slow would be logged with each window.
                dropped, self._dropped = self._dropped, 0
            ended = heard is None and self._claim(ear)
        if dropped:
            log.warning("captions are taken again; %d windows were dropped", dropped)
        if ended:
            self._over(ear)
        return heard

    def heard(self) -> Iterator[WindowResult | None]:
        """Yield results until every device has ended; None at times, to give the caller a turn.

        Raises
        ------
        AudioError, DeviceError
            As `take`.
        """
        while self.listening:
            self.wait()
            yield self.take()

    def _over(self, ear: DeviceWorker) -> None:
        """Stop `ear`, which is claimed and has ended by itself."""
        self._stop(ear, LAST_S)
        if ear.error is None:
            return
        if not self.listening:
            raise ear.error
        self.failed = True
        bug = ear.error if not isinstance(ear.error, AacStreamError) else None
        log.error("%s; the other devices go on", ear.error, exc_info=bug)

    def _claim(self, ear: DeviceWorker) -> bool:
        """Return True if the caller is the one who stops `ear`."""
        with self._state:
            if ear not in self._ears:
                return False
            self._ears.remove(ear)
            self._leaving.append(ear)
            return True

    def _stop(self, ear: DeviceWorker, timeout: float) -> None:
        """Stop `ear`, which is claimed; its counts stay, and nothing else: it holds much."""
        try:
            ear.stop(timeout)
        finally:
            with self._state:
                self._leaving.remove(ear)
                label = ear.device.label
                self._past[label] = self._past.get(label, Stats()) + ear.stats()
                self._past_overflows += ear.overflows

    def _stop_all(self, ears: Iterable[DeviceWorker], timeout: float) -> None:
        """Stop those of `ears` that no other thread stops, within `timeout` seconds together."""
        claimed = [ear for ear in ears if self._claim(ear)]
        for ear in claimed:
            ear.loop.end()
        with self._state:
            self._state.notify_all()  # Those that wait for room need not any more.
        until = time.monotonic() + timeout
        for ear in claimed:
            self._stop(ear, max(0.0, until - time.monotonic()))

    def change(self, config: StreamConfig, captioner: Captioner) -> None:
        """Go on with other settings or another model; only devices that change are opened again.

        Afterwards the hub listens, or waits for a device to return, in any case.

        Raises
        ------
        AudioError, DeviceError
            If a device cannot be opened. The settings and the devices are then as before. A
            device that had to be closed, and cannot be opened again, is waited for.
        """
        with self._turn:
            if self._closed:
                return
            self._change_devices(config, captioner)
            self._config, self._captioner = config, captioner
            for ear in self._present():
                ear.loop.change(config, captioner)
            self.start()

    def _change_devices(self, config: StreamConfig, captioner: Captioner) -> None:
        present, wanted = self._present(), devices_of(config.device)
        again = any(getattr(config, key) != getattr(self._config, key) for key in OF_SOURCE)
        gone = [ear for ear in present if again or ear.device not in wanted]
        ended = set(devices_of(self._config.device)) - {ear.device for ear in present}
        kept = ended | {ear.device for ear in present if ear not in gone}
        new = [device for device in wanted if device not in kept]
        if not new and len(gone) == len(present):
            new = wanted  # All of these have ended before; nothing else would be listened to.
        # A new device is opened while the old ones still run, so that a mistake disturbs nothing.
        # Only an old one that stands in its way is closed first.
        in_the_way = [e for e in gone if any(excludes(e.device.what, d.what) for d in new)]
        self._stop_all(in_the_way, CHANGE_S)
        try:
            sources = self._open(new, config, others=len(gone) < len(present))
        except Exception:
            self._reopen(in_the_way)
            raise
        self._stop_all(gone, CHANGE_S)
        # The clock of a device goes on from one that it replaces, or from any other.
        running = next((ear for ear in present if ear not in gone), None)
        for number, (device, source) in enumerate(sources):
            before = gone[number] if number < len(gone) else running or next(iter(gone), None)
            ear = self._ear(device, source, config, captioner, before)
            with self._state:
                self._ears.append(ear)

    def _reopen(self, ears: list[DeviceWorker]) -> None:
        """Listen again to the devices of `ears`, which are stopped, or wait for them."""
        for ear in ears:
            what = ear.device.what
            try:
                source = open_source(what, self._config)
            except Exception as error:
                source = waiting_source(what, self._config, error)
            with self._state:
                self._ears.append(self._ear(ear.device, source, self._config, before=ear))
        self.start()

    def _open(
        self, devices: list[Device], config: StreamConfig, others: bool
    ) -> list[tuple[Device, Source]]:
        """Open all of `devices` or none.

        One that is unavailable is waited for, unless there is nothing to listen to meanwhile:
        none of these, and no `others`.
        """
        sources: list[tuple[Device, Source]] = []
        away: list[UnavailableError] = []
        try:
            for device in devices:
                try:
                    source = open_source(device.what, config)
                except UnavailableError as error:
                    away.append(error)
                    source = waiting_source(device.what, config, error)
                sources.append((device, source))
            if away and len(away) == len(devices) and not others:
                raise away[0]
        except BaseException:
            for _, source in sources:
                source.close()
            raise
        return sources

    def _ear(
        self,
        device: Device,
        source: Source,
        config: StreamConfig,
        captioner: Captioner | None = None,
        before: DeviceWorker | None = None,
    ) -> DeviceWorker:
        tap, numbers = partial(self._hear, device.label), self._numbers[device.label]
        model = captioner or self._captioner
        return DeviceWorker(device, source, config, model, self._put, numbers, before, tap)

    def _put(self, ear: DeviceWorker, heard: WindowResult | None) -> None:
        """Put a result into the queue; called by the ears, in their threads."""
        with self._state:
            if heard is not None:
                while self._must_wait(ear):
                    self._state.wait(BEAT_S)
                heard = self._unless_full(heard)
                if heard is None:
                    return
            if not self._closed:
                self._heard.append((ear, heard))
                self._state.notify_all()

    def _must_wait(self, ear: DeviceWorker) -> bool:
        return ear.source.lossless and len(self._heard) >= WAITING and not ear.loop.ended

    def _unless_full(self, heard: WindowResult) -> WindowResult | None:
        """Return `heard`, or if nobody has taken anything for long, what must not be dropped.

        An event that was opened must be closed. There are few of them, so the queue is bounded.
        """
        if len(self._heard) >= KEPT and not self._closed:
            if not self._dropped:
                log.warning("nobody takes the captions; they are dropped until somebody does")
            self._dropped += 1
            self.unread_windows += 1
            told = self._open_events
            events = tuple(
                e for e in heard.events if not e.open and (heard.device, e.number) in told
            )
            if not events:
                return None
            heard = replace(heard, caption=None, events=events)
        for event in heard.events:
            change = self._open_events.add if event.open else self._open_events.discard
            change((heard.device, event.number))
        return heard

    def _hear(self, device: str, start_s: float, samples: Floats) -> None:
        """Hand audio on; called by the ears, in their threads."""
        for listener in self.listeners:
            listener(device, start_s, samples)

    @property
    def features(self) -> FeatureSpec:
        """Of the model in use; listeners get samples at its rate."""
        return self._captioner.bundle.features

    def counts(self) -> dict[str, Stats]:
        """Return what was counted of each device of the run, by label; no count ever falls."""
        with self._state:
            found = dict(self._past)
            for ear in [*self._ears, *self._leaving]:
                label = ear.device.label
                found[label] = found.get(label, Stats()) + ear.stats()
            return found

    def stats(self) -> Stats:
        """Return the counts of all devices together."""
        return sum(self.counts().values(), Stats())

    @property
    def overflows(self) -> int:
        """Times that a device itself lost audio."""
        with self._state:
            ears = [*self._ears, *self._leaving]
            return self._past_overflows + sum(ear.overflows for ear in ears)

    def status(self) -> list[Status]:
        """Return the state of each device."""
        with self._state:
            return [ear.status(self._past.get(ear.device.label, Stats())) for ear in self._ears]

    def close(self, timeout: float = 0.8) -> list[WindowResult]:
        """Give the devices back, within about `timeout` seconds; return the last results.

        A second call returns nothing, once the first is done.
        """
        with self._turn:
            self._stop_all(self._present(), timeout)
            with self._state:
                self._closed = True
                rest = [heard for _, heard in self._heard if heard is not None]
                self._heard.clear()
                self._state.notify_all()
        return rest
