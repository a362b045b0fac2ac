"""A run from its start to its end, through every reload of its settings."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from edge.config import StreamConfig
from edge.device_setting import without_secrets
from edge.errors import AacStreamError
from edge.inference.captioner import Captioner, load_captioner
from edge.log import set_level
from edge.service.signals import Signals
from edge.service.systemd import SystemdNotifier
from edge.sinks.manager import SinkManager
from edge.streaming.device_manager import DeviceManager

log = logging.getLogger(__name__)

# The settings for which a reload loads the model again.
OF_MODEL = {"bundle", "backend", "threads", "beam"}
STEP_S = 2.0  # by which no clock is off that is only adjusted
END_S = 0.3  # For sinks to write what is left when a signal ends the run.


def load_model(config: StreamConfig) -> Captioner:
    """The captioner that `config` asks for."""
    began = time.monotonic()
    bundle = Path(config.bundle) if config.bundle else None
    captioner = load_captioner(bundle, config.threads, config.backend, config.beam)
    took_s = time.monotonic() - began
    log.debug("model %s on %s, loaded in %.1f s", captioner.bundle.name, config.backend, took_s)
    return captioner


class Runner:
    """The devices and the sinks of a run. `reread` gives the settings anew."""

    def __init__(
        self, config: StreamConfig, reread: Callable[[], StreamConfig], signals: Signals
    ) -> None:
        log.debug("%s", without_secrets(str(config)))
        self._config, self._reread, self._signals = config, reread, signals
        self._notifier = SystemdNotifier()
        self._skips_told = self._late_told = False
        self._ahead_s = _ahead_s()
        with signals.held():  # what is cut short in an import does not always say why
            self._captioner = load_model(config)
        self._hub = DeviceManager(config, self._captioner)
        try:
            with signals.held():  # as for the model
                self._sinks = SinkManager(config, self._hub)
        except BaseException:
            self._hub.close()
            raise

    def run(self) -> int:
        """Caption until the devices end or a signal ends the run; returns the exit code."""
        try:
            try:
                self._hub.start()
                self._notifier.ready()
                while self._hub.listening:
                    self._hub.wait()
                    self._sinks.wait()
                    with self._signals.held():  # what is taken must not get lost
                        heard = self._hub.take()
                        if heard is not None:
                            self._sinks.push(heard)
                    self._between()
            except KeyboardInterrupt:
                pass
            finally:
                self._notifier.stopping()
                for heard in self._hub.close():
                    self._sinks.push(heard)
                try:
                    # What ends by itself may take its time: a pipe whose reader is slow, say.
                    self._sinks.close(END_S if self._signals.ending else None)
                except KeyboardInterrupt:
                    self._sinks.close(END_S)
        finally:
            self._report()
        return 2 if self._hub.failed else 0

    def _between(self) -> None:
        """What is to be done beside the captions."""
        if self._hub.lives:
            self._notifier.beat(self._status)
        if self._signals.reload:
            self._signals.reload = False
            self._notifier.reloading()
            self._reload()
            self._notifier.ready()
        self._watch_clock()
        self._watch_pace()

    def _watch_pace(self) -> None:
        """Windows that are skipped have one of two reasons, each told once."""
        if not self._late_told and self._hub.late:
            log.warning("the model is late: windows are skipped; a larger --hop-s helps")
            self._late_told = self._skips_told = True
        elif not self._skips_told and self._hub.stats().skipped_windows:
            log.warning("windows are skipped: this program was held up for longer than a window")
            self._skips_told = True

    def _watch_clock(self) -> None:
        """The clock on the wall may be set, and goes on while the machine sleeps."""
        ahead_s = _ahead_s()
        stepped_s = ahead_s - self._ahead_s
        if abs(stepped_s) >= STEP_S:
            self._ahead_s = ahead_s
            log.warning(
                "the clock was set by %+.0f s, or the machine slept; "
                "'at' follows it, and seconds since the start go on",
                stepped_s,
            )

    def _reload(self) -> None:
        """Read the settings again and use them; if they cannot be used, keep those there are.

        Either way the output is opened again, for it may have been moved: as logrotate does.
        """
        try:
            config = self._reread()
            changed = [f.name for f in fields(config) if _differ(f.name, config, self._config)]
            captioner = load_model(config) if OF_MODEL & set(changed) else self._captioner
            with self._signals.held():
                self._use(config, captioner)
            log.info("settings read again: %s changed", ", ".join(changed) or "nothing")
        except Exception as error:  # a run of a year must not end by what was typed into a file
            bug = not isinstance(error, AacStreamError)
            log.error("%s; the settings stay as they were", error, exc_info=bug)
            self._sinks.reopen(error)

    def _use(self, config: StreamConfig, captioner: Captioner) -> None:
        """Use all of `config`, or nothing of it.

        Raises: AacStreamError.
        """
        sample_rate = captioner.bundle.features.sample_rate
        with self._sinks.changed(config, sample_rate):
            self._hub.change(config, captioner)
        self._config, self._captioner = config, captioner
        set_level(config.log_level)

    def _status(self) -> str:
        # Everybody on the machine may read this, so it says nothing of what was heard.
        states = [status.state for status in self._hub.status()]
        return f"{', '.join(states)}, {self._hub.stats().windows} windows"

    def _report(self) -> None:
        """One line about the run, and one for each thing that went wrong."""
        stats = self._hub.stats()
        log.info(
            "%.1f s heard, %d windows, real-time factor %.3f",
            *(stats.audio_s, stats.windows, stats.rtf),
        )
        if stats.skipped_windows:
            log.warning("%d windows skipped to keep up", stats.skipped_windows)
        if stats.lost_s or self._hub.overflows:
            lost = f"{stats.lost_s:.1f} s of audio lost"
            log.warning("%s, %d overflows of the device", lost, self._hub.overflows)


def _differ(name: str, one: StreamConfig, other: StreamConfig) -> bool:
    return bool(getattr(one, name) != getattr(other, name))


def _ahead_s() -> float:
    """By how much the clock on the wall is ahead of the one that is never set."""
    return time.time() - time.monotonic()
