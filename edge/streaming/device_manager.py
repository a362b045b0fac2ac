"""Run all devices with one shared model, and collect their results in one queue."""

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

BEAT_S = 0.5  # Maximum seconds that one wait for results, or for room in the queue, lasts.
STUCK_S = 10.0  # A worker that requests no audio for so many seconds hangs.
# Queued results at which a worker waits if its source can block, as a file with `--fast` can.
WAITING = 64
KEPT = 3600  # Maximum number of queued results, about an hour; later windows are dropped.
LAST_S = 1.0  # Seconds that a worker gets to end after its last result.
CHANGE_S = 2.0  # Seconds that the workers get to end when the settings change.

# A change of these settings reopens all devices.
OF_SOURCE = ("rate", "channels", "channel", "fast")


# Takes the label of the device, the time of the first sample in seconds, and mono samples at the
# model's rate, shape (samples,). It runs in the worker thread of the device, so it must be quick.
Listener = Callable[[str, float, Floats], None]


class DeviceManager:
    """Caption the devices of `config` from `start` to `close`.

    Every method may be called from any thread. `_state` guards the lists, the counters and the
    queue, and is held only for moments. `_change_lock` is held while devices are opened and
    stopped, so that `change` and `close` exclude each other. To stop a worker, a thread first
    claims it: it moves the worker from `_workers` to `_stopping` under `_state`. Only the thread
    that claimed a worker stops it, outside `_state`.
    """

    def __init__(self, config: StreamConfig, captioner: Captioner) -> None:
        """Open the devices.

        Parameters
        ----------
        config
            The settings of the run.
        captioner
            The model, which all devices share.

        Raises
        ------
        AudioError, DeviceError
            A device cannot be opened, and waiting for it would not help.
        """
        self.failed = False  # True after a device ended with an error while others continued.
        self.listeners: list[Listener] = []
        self.unread_windows = 0  # Number of windows dropped because nobody took them.
        self._config, self._captioner = config, captioner
        self._state, self._change_lock = threading.Condition(threading.RLock()), threading.RLock()
        self._closed = False
        self._results: deque[tuple[DeviceWorker, WindowResult | None]] = deque()
        self._dropped = 0  # Number of windows dropped since the queue was last empty.
        # Device and number of each event that opened in the queue and has not closed.
        self._open_events: set[tuple[str, int]] = set()
        self._workers: list[DeviceWorker] = []
        self._stopping: list[DeviceWorker] = []  # Workers that are claimed and not stopped yet.
        self._past: dict[str, Stats] = {}  # Counts of stopped workers, by label.
        self._past_overflows = 0
        self._numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(1))
        sources = self._open(devices_of(config.device), config, others=False)
        self._workers = [self._new_worker(device, source, config) for device, source in sources]

    def start(self) -> None:
        """Start the workers of all devices."""
        for worker in self._active():
            worker.start()

    @property
    def lossless(self) -> bool:
        """True if all sources can block (files with `--fast`), so that no window is lost."""
        return all(worker.source.lossless for worker in self._active())

    @property
    def lives(self) -> bool:
        """True if no worker hangs."""
        now = time.monotonic()
        return all(now - worker.loop.lived_at < STUCK_S for worker in self._active())

    @property
    def late(self) -> bool:
        """True if windows were skipped because the model was slower than the audio of a device."""
        return any(worker.loop.late for worker in self._active())

    @property
    def listening(self) -> bool:
        """True until every device has ended and its last result was taken."""
        return bool(self._active())

    def _active(self) -> list[DeviceWorker]:
        with self._state:
            return list(self._workers)

    def wait(self, seconds: float = BEAT_S) -> bool:
        """Wait up to `seconds` for a result; return True if there is one to take."""
        with self._state:
            self._state.wait_for(lambda: self._results or self._closed, seconds)
            return bool(self._results)

    def take(self) -> WindowResult | None:
        """Return the next result; None if there is none yet, or a device has ended.

        If a device ends with an error while others run, the error is logged.

        Raises
        ------
        AudioError, DeviceError
            The last running device ended with this error.
        """
        with self._state:
            if not self._results:
                return None
            worker, result = self._results.popleft()
            self._state.notify_all()
            dropped = 0
            if not self._results:  # Otherwise a slow reader would log a message for each window.
                dropped, self._dropped = self._dropped, 0
            ended = result is None and self._claim(worker)
        if dropped:
            log.warning("captions are taken again; %d windows were dropped", dropped)
        if ended:
            self._finish_ended(worker)
        return result

    def heard(self) -> Iterator[WindowResult | None]:
        """Yield results until every device has ended.

        Yield None at least every `BEAT_S` seconds without a result, so that the caller can do other
        work.

        Raises
        ------
        AudioError, DeviceError
            The last running device ended with this error.
        """
        while self.listening:
            self.wait()
            yield self.take()

    def _finish_ended(self, worker: DeviceWorker) -> None:
        """Stop a claimed worker that has ended by itself, and log or raise its error."""
        self._stop(worker, LAST_S)
        if worker.error is None:
            return
        if not self.listening:
            raise worker.error
        self.failed = True
        bug = worker.error if not isinstance(worker.error, AacStreamError) else None
        log.error("%s; the other devices go on", worker.error, exc_info=bug)

    def _claim(self, worker: DeviceWorker) -> bool:
        """Claim `worker`; return True if the caller must stop it."""
        with self._state:
            if worker not in self._workers:
                return False
            self._workers.remove(worker)
            self._stopping.append(worker)
            return True

    def _stop(self, worker: DeviceWorker, timeout: float) -> None:
        """Stop a claimed worker, and keep only its counts, because a worker needs much memory."""
        try:
            worker.stop(timeout)
        finally:
            with self._state:
                self._stopping.remove(worker)
                label = worker.device.label
                self._past[label] = self._past.get(label, Stats()) + worker.stats()
                self._past_overflows += worker.overflows

    def _stop_all(self, workers: Iterable[DeviceWorker], timeout: float) -> None:
        """Stop the workers that no other thread has claimed, within `timeout` seconds in total."""
        claimed = [worker for worker in workers if self._claim(worker)]
        for worker in claimed:
            worker.loop.end()
        with self._state:
            self._state.notify_all()  # Workers that wait for room in the queue may end.
        until = time.monotonic() + timeout
        for worker in claimed:
            self._stop(worker, max(0.0, until - time.monotonic()))

    def change(self, config: StreamConfig, captioner: Captioner) -> None:
        """Use other settings or another model; reopen only the devices that change.

        Raises
        ------
        AudioError, DeviceError
            A device cannot be opened. The settings and the devices are then as before. If an old
            device had to be closed and cannot be reopened, its worker waits for it to return.
        """
        with self._change_lock:
            if self._closed:
                return
            self._change_devices(config, captioner)
            self._config, self._captioner = config, captioner
            for worker in self._active():
                worker.loop.change(config, captioner)
            self.start()

    def _change_devices(self, config: StreamConfig, captioner: Captioner) -> None:
        active, wanted = self._active(), devices_of(config.device)
        reopen_all = any(getattr(config, key) != getattr(self._config, key) for key in OF_SOURCE)
        removed = [w for w in active if reopen_all or w.device not in wanted]
        ended = set(devices_of(self._config.device)) - {w.device for w in active}
        kept = ended | {w.device for w in active if w not in removed}
        new = [device for device in wanted if device not in kept]
        if not new and len(removed) == len(active):
            new = wanted  # All wanted devices have ended and no other is left: start them again.
        # New devices are opened while the old ones still run, so that an error changes nothing. An
        # old device is closed first only if it may block a new one.
        blocking = [w for w in removed if any(excludes(w.device.what, d.what) for d in new)]
        self._stop_all(blocking, CHANGE_S)
        try:
            sources = self._open(new, config, others=len(removed) < len(active))
        except Exception:
            self._reopen(blocking)
            raise
        self._stop_all(removed, CHANGE_S)
        # A new worker continues the clock of the worker that it replaces, or of any other one.
        running = next((w for w in active if w not in removed), None)
        for number, (device, source) in enumerate(sources):
            is_replacement = number < len(removed)
            before = removed[number] if is_replacement else running or next(iter(removed), None)
            worker = self._new_worker(device, source, config, captioner, before)
            with self._state:
                self._workers.append(worker)

    def _reopen(self, workers: list[DeviceWorker]) -> None:
        """Replace stopped `workers`; the new ones wait for devices that cannot be opened."""
        for worker in workers:
            what = worker.device.what
            try:
                source = open_source(what, self._config)
            except Exception as error:
                source = waiting_source(what, self._config, error)
            successor = self._new_worker(worker.device, source, self._config, before=worker)
            with self._state:
                self._workers.append(successor)
        self.start()

    def _open(
        self, devices: list[Device], config: StreamConfig, others: bool
    ) -> list[tuple[Device, Source]]:
        """Open all of `devices`, or none if one fails.

        An unavailable device gets a source that waits for it. If all of `devices` are unavailable
        and `others` is False, raise the error of the first one, because no other device runs
        meanwhile.
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

    def _new_worker(
        self,
        device: Device,
        source: Source,
        config: StreamConfig,
        captioner: Captioner | None = None,
        before: DeviceWorker | None = None,
    ) -> DeviceWorker:
        tap, numbers = partial(self._pass_audio, device.label), self._numbers[device.label]
        model = captioner or self._captioner
        return DeviceWorker(device, source, config, model, self._put, numbers, before, tap)

    def _put(self, worker: DeviceWorker, result: WindowResult | None) -> None:
        """Put a result into the queue; each worker calls this in its thread."""
        with self._state:
            if result is not None:
                while self._must_wait(worker):
                    self._state.wait(BEAT_S)
                result = self._reduce_if_full(result)
                if result is None:
                    return
            if not self._closed:
                self._results.append((worker, result))
                self._state.notify_all()

    def _must_wait(self, worker: DeviceWorker) -> bool:
        return worker.source.lossless and len(self._results) >= WAITING and not worker.loop.ended

    def _reduce_if_full(self, result: WindowResult) -> WindowResult | None:
        """Return `result`; if the queue is full, only its essential events, or None.

        Each event that opened in the queue must close there too. There are few such events, so the
        queue remains bounded.
        """
        if len(self._results) >= KEPT and not self._closed:
            if not self._dropped:
                log.warning("nobody takes the captions; they are dropped until somebody does")
            self._dropped += 1
            self.unread_windows += 1
            opened = self._open_events
            events = tuple(
                e for e in result.events if not e.open and (result.device, e.number) in opened
            )
            if not events:
                return None
            result = replace(result, caption=None, events=events)
        for event in result.events:
            change = self._open_events.add if event.open else self._open_events.discard
            change((result.device, event.number))
        return result

    def _pass_audio(self, device: str, start_s: float, samples: Floats) -> None:
        """Pass audio to the listeners; each worker calls this in its thread."""
        for listener in self.listeners:
            listener(device, start_s, samples)

    @property
    def features(self) -> FeatureSpec:
        """The features of the model in use; listeners get samples at their sample rate."""
        return self._captioner.bundle.features

    def counts(self) -> dict[str, Stats]:
        """Return the counts of each device of the run, by label; no count ever decreases."""
        with self._state:
            counts = dict(self._past)
            for worker in [*self._workers, *self._stopping]:
                label = worker.device.label
                counts[label] = counts.get(label, Stats()) + worker.stats()
            return counts

    def stats(self) -> Stats:
        """Return the counts of all devices together."""
        return sum(self.counts().values(), Stats())

    @property
    def overflows(self) -> int:
        """How many times the devices themselves lost audio."""
        with self._state:
            workers = [*self._workers, *self._stopping]
            return self._past_overflows + sum(worker.overflows for worker in workers)

    def status(self) -> list[Status]:
        """Return the state of each device."""
        with self._state:
            return [w.status(self._past.get(w.device.label, Stats())) for w in self._workers]

    def close(self, timeout: float = 0.8) -> list[WindowResult]:
        """Release the devices, within about `timeout` seconds; return the results not yet taken.

        A second call waits for the first and returns an empty list.
        """
        with self._change_lock:
            self._stop_all(self._active(), timeout)
            with self._state:
                self._closed = True
                rest = [result for _, result in self._results if result is not None]
                self._results.clear()
                self._state.notify_all()
        return rest
