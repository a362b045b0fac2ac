"""A run from its start to its end, through every reload of its settings."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

from edge.captioner import Captioner, load_captioner
from edge.config import StreamConfig
from edge.devices import without_secrets
from edge.errors import AacStreamError, OutputError
from edge.heard import Heard
from edge.hub import Hub
from edge.log import set_level
from edge.notify import Notifier
from edge.signals import Signals
from edge.sinks import HearingSink, Outlet, open_sinks
from edge.web.opening import open_page

log = logging.getLogger(__name__)

# The settings for which a reload loads the model again, or opens the sinks again.
OF_MODEL = {"bundle", "backend", "threads", "beam"}
# What windows are matters to sinks that wait for later ones.
OF_SINK = {
    *("format", "output", "also", "mqtt", "mqtt_password_file"),
    *("command", "command_every_s", "keep_audio", "keep_folder"),
    *("keep_max_mb", "keep_days"),
    *("window_s", "hop_s", "device", "bundle"),
}
STEP_S = 2.0  # by which no clock is off that is only adjusted
END_S = 0.4  # that sinks have to take what is left, when a signal ends the run
OLD_S = 2.0  # and when a reload replaces them: the loop waits meanwhile


def load_model(config: StreamConfig) -> Captioner:
    """The captioner that `config` asks for."""
    began = time.monotonic()
    bundle = Path(config.bundle) if config.bundle else None
    captioner = load_captioner(bundle, config.threads, config.backend, config.beam)
    took_s = time.monotonic() - began
    log.debug("model %s on %s, loaded in %.1f s", captioner.bundle.name, config.backend, took_s)
    return captioner


class Session:
    """The devices and the sinks of a run. `reread` gives the settings anew."""

    def __init__(
        self, config: StreamConfig, reread: Callable[[], StreamConfig], signals: Signals
    ) -> None:
        log.debug("%s", without_secrets(str(config)))
        self._config, self._reread, self._signals = config, reread, signals
        self._notifier = Notifier()
        self._skips_told = self._late_told = False
        self._ahead_s = _ahead_s()
        with signals.held():  # what is cut short in an import does not always say why
            self._captioner = load_model(config)
        self._hub = Hub(config, self._captioner)
        try:
            self._outlets = self._open_sinks(config)
            self._page = self._open_page(config)
            self._listen()
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
                    for outlet in self._outlets:
                        outlet.wait()
                    with self._signals.held():  # what is taken must not get lost
                        heard = self._hub.take()
                        if heard is not None:
                            self._push(heard)
                    self._between()
            except KeyboardInterrupt:
                pass
            finally:
                self._notifier.stopping()
                for heard in self._hub.close():
                    self._push(heard)
                # What ends by itself may take its time: a pipe whose reader is slow, for example.
                outlets = [*self._outlets, *self._page]
                self._close_sinks(outlets, END_S if self._signals.ending else None)
        finally:
            self._report()
        return 2 if self._hub.failed else 0

    def _push(self, heard: Heard) -> None:
        for outlet in [*self._outlets, *self._page]:
            outlet.push(heard)

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

    def _open_sinks(self, config: StreamConfig) -> list[Outlet]:
        return [Outlet(sink, self._hub.lossless) for sink in open_sinks(config, self._hub)]

    def _listen(self) -> None:
        """Audio goes to the sinks that want it."""
        sinks = [outlet.sink for outlet in [*self._outlets, *self._page]]
        self._hub.listeners = [sink.hear for sink in sinks if isinstance(sink, HearingSink)]

    def _open_page(self, config: StreamConfig) -> list[Outlet]:
        """One if it is asked for."""
        if config.serve is None:
            return []
        with self._signals.held():  # as for the model
            return [Outlet(open_page(config.serve, self._hub), self._hub.lossless)]

    def _turn_page(self, config: StreamConfig) -> None:
        """Serve where `config` says; first the old page ends, for a port can be had but once.

        Raises: OutputError.
        """
        old, self._page = self._page, []
        self._close_sinks(old, OLD_S)
        self._page = self._open_page(config)

    def _close_sinks(self, outlets: list[Outlet], seconds: float | None) -> None:
        """Within so many `seconds` for all, if any.

        Raises: the error of the last that fails.
        """
        failed: Exception | None = None
        for outlet in outlets:
            try:
                outlet.close(None if seconds is None else seconds / len(outlets))
            except (OutputError, BrokenPipeError) as error:
                failed = error
        if failed is not None:
            raise failed

    def _reload(self) -> None:
        """Read the settings again and use them; if they cannot be used, keep those there are.

        Either way the output is opened again, for it may have been moved: as logrotate does.
        """
        try:
            config = self._reread()
            changed = [f.name for f in fields(config) if _differ(f.name, config, self._config)]
            captioner = load_model(config) if OF_MODEL & set(changed) else self._captioner
            with self._signals.held():
                self._use(config, captioner, set(changed))
            log.info("settings read again: %s changed", ", ".join(changed) or "nothing")
        except Exception as error:  # a run of a year must not end by what was typed into a file
            bug = not isinstance(error, AacStreamError)
            log.error("%s; the settings stay as they were", error, exc_info=bug)
            self._reopen_sinks(error)

    def _use(self, config: StreamConfig, captioner: Captioner, changed: set[str]) -> None:
        """All of `config`, or nothing of it.

        Raises: AacStreamError.
        """
        outlets = self._outlets
        if OF_SINK & changed:
            outlets = self._open_sinks(config)
        else:
            for outlet in outlets:
                outlet.reopen()
        try:
            if "serve" in changed:
                self._turn_page(config)
            self._hub.change(config, captioner)
        except BaseException:
            if outlets is not self._outlets:
                self._close_sinks(outlets, OLD_S)
            if "serve" in changed:
                self._turn_page(self._config)
            raise
        if outlets is not self._outlets:
            old = self._outlets
            self._outlets = outlets
            try:
                with suppress(BrokenPipeError):
                    self._close_sinks(old, OLD_S)
            except OutputError as error:  # the new ones are in use all the same
                log.error("%s", error)
        self._listen()
        self._config, self._captioner = config, captioner
        set_level(config.log_level)

    def _reopen_sinks(self, told: Exception) -> None:
        """Open the outputs of the old settings; what fails goes on with what is open."""
        for outlet in self._outlets:
            try:
                outlet.reopen()
            except AacStreamError as error:
                if str(error) != str(told):
                    log.error("%s", error)

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
