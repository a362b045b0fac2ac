"""Run the devices and the sinks, and reload the settings on request."""

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

# A change of these settings loads the model again.
OF_MODEL = {"bundle", "backend", "threads", "beam"}
CLOCK_JUMP_S = 2.0  # Larger jumps of the system clock are logged; NTP slewing stays below.
END_S = 0.3  # Seconds that sinks get to write the rest after a signal ends the run.


def load_model(config: StreamConfig) -> Captioner:
    """Load the model that `config` specifies.

    Raises
    ------
    BundleError
        The bundle, or the package of its backend, cannot be used.
    """
    began = time.monotonic()
    bundle = Path(config.bundle) if config.bundle else None
    captioner = load_captioner(bundle, config.threads, config.backend, config.beam)
    took_s = time.monotonic() - began
    log.debug("model %s on %s, loaded in %.1f s", captioner.bundle.name, config.backend, took_s)
    return captioner


class Runner:
    """Run the devices and the sinks until the devices or a signal end the run."""

    def __init__(
        self, config: StreamConfig, reread: Callable[[], StreamConfig], signals: Signals
    ) -> None:
        """Load the model, and open the devices and the sinks.

        Parameters
        ----------
        config
            The settings at the start.
        reread
            Reads the settings again, for a reload.
        signals
            The signals of the process, entered by the caller.

        Raises
        ------
        AacStreamError
            The model, a device or a sink cannot be opened. Then all are closed again.
        """
        log.debug("%s", without_secrets(str(config)))
        self._config, self._reread, self._signals = config, reread, signals
        self._notifier = SystemdNotifier()
        self._skips_logged = self._late_logged = False
        self._ahead_s = _ahead_s()
        with signals.held():  # An interrupted import may raise any exception.
            self._captioner = load_model(config)
        self._manager = DeviceManager(config, self._captioner)
        try:
            with signals.held():  # The sinks import libraries too.
                self._sinks = SinkManager(config, self._manager)
        except BaseException:
            self._manager.close()
            raise

    def run(self) -> int:
        """Caption until the devices end or a signal ends the run.

        Returns
        -------
        int
            The exit code: 2 if a device ended with an error while others continued, otherwise 0.

        Raises
        ------
        AacStreamError
            The last device ended with an error, or a sink failed.
        BrokenPipeError
            The reader of standard output has closed it.
        """
        try:
            try:
                self._manager.start()
                self._notifier.ready()
                while self._manager.listening:
                    self._manager.wait()
                    self._sinks.wait()
                    with self._signals.held():  # A result that was taken must reach the sinks.
                        result = self._manager.take()
                        if result is not None:
                            self._sinks.push(result)
                    self._do_other_work()
            except KeyboardInterrupt:
                pass
            finally:
                self._notifier.stopping()
                for result in self._manager.close():
                    self._sinks.push(result)
                try:
                    # Without a signal there is no hurry: the reader of a pipe may be slow.
                    self._sinks.close(END_S if self._signals.ending else None)
                except KeyboardInterrupt:
                    self._sinks.close(END_S)
        finally:
            self._report()
        return 2 if self._manager.failed else 0

    def _do_other_work(self) -> None:
        """Do the other work of the main thread: watchdog, reload and warnings."""
        if self._manager.lives:
            self._notifier.beat(self._status)
        if self._signals.reload:
            self._signals.reload = False
            self._notifier.reloading()
            self._reload()
            self._notifier.ready()
        self._watch_clock()
        self._watch_pace()

    def _watch_pace(self) -> None:
        """Log once for each of two reasons that windows are skipped."""
        if not self._late_logged and self._manager.late:
            log.warning("the model is late: windows are skipped; a larger --hop-s helps")
            self._late_logged = self._skips_logged = True
        elif not self._skips_logged and self._manager.stats().skipped_windows:
            log.warning("windows are skipped: this program was held up for longer than a window")
            self._skips_logged = True

    def _watch_clock(self) -> None:
        """Log jumps of the system clock, which is set, or continues while the machine sleeps."""
        ahead_s = _ahead_s()
        jump_s = ahead_s - self._ahead_s
        if abs(jump_s) >= CLOCK_JUMP_S:
            self._ahead_s = ahead_s
            log.warning(
                "the clock was set by %+.0f s, or the machine slept; "
                "'at' follows it, and seconds since the start go on",
                jump_s,
            )

    def _reload(self) -> None:
        """Read the settings again and use them; if that fails, log it and keep the old settings.

        In both cases the output files are opened again, because logrotate may have moved them.
        """
        try:
            config = self._reread()
            changed = [f.name for f in fields(config) if _differ(f.name, config, self._config)]
            captioner = load_model(config) if OF_MODEL & set(changed) else self._captioner
            with self._signals.held():
                self._use(config, captioner)
            log.info("settings read again: %s changed", ", ".join(changed) or "nothing")
        except Exception as error:  # A mistake in the file must not end a long run.
            bug = not isinstance(error, AacStreamError)
            log.error("%s; the settings stay as they were", error, exc_info=bug)
            self._sinks.reopen(error)

    def _use(self, config: StreamConfig, captioner: Captioner) -> None:
        """Use all of `config`, or nothing if a part fails.

        Raises
        ------
        AacStreamError
            A device or a sink cannot be opened. The old settings remain in use.
        """
        sample_rate = captioner.bundle.features.sample_rate
        with self._sinks.changed(config, sample_rate):
            self._manager.change(config, captioner)
        self._config, self._captioner = config, captioner
        set_level(config.log_level)

    def _status(self) -> str:
        # Every user of the machine may read the status, so it contains no captions.
        states = [status.state for status in self._manager.status()]
        return f"{', '.join(states)}, {self._manager.stats().windows} windows"

    def _report(self) -> None:
        """Log a summary of the run, and a warning for each kind of loss."""
        stats = self._manager.stats()
        log.info(
            "%.1f s heard, %d windows, real-time factor %.3f",
            *(stats.audio_s, stats.windows, stats.rtf),
        )
        if stats.skipped_windows:
            log.warning("%d windows skipped to keep up", stats.skipped_windows)
        if stats.lost_s or self._manager.overflows:
            lost = f"{stats.lost_s:.1f} s of audio lost"
            log.warning("%s, %d overflows of the device", lost, self._manager.overflows)


def _differ(name: str, one: StreamConfig, other: StreamConfig) -> bool:
    return bool(getattr(one, name) != getattr(other, name))


def _ahead_s() -> float:
    """Return the seconds by which the system clock is ahead of the monotonic clock."""
    return time.time() - time.monotonic()
