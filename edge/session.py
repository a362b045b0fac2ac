"""A run from its start to its end, through every reload of its settings."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from edge.captioner import Captioner, load_captioner
from edge.config import StreamConfig
from edge.errors import AacStreamError
from edge.log import set_level
from edge.loop import Loop
from edge.notify import Notifier
from edge.opening import open_source
from edge.signals import Signals
from edge.sinks import Sink
from edge.sources import Source

log = logging.getLogger(__name__)

# The settings for which a reload opens the source again, or loads the model again.
OF_SOURCE = {"device", "rate", "channels", "channel", "fast"}
OF_MODEL = {"bundle", "backend", "threads", "beam"}
OF_SINK = {"format", "output", "window_s", "hop_s"}  # subtitles wait as long as windows overlap


def load_model(config: StreamConfig) -> Captioner:
    """The captioner that `config` asks for."""
    began = time.monotonic()
    bundle = Path(config.bundle) if config.bundle else None
    captioner = load_captioner(bundle, config.threads, config.backend, config.beam)
    took_s = time.monotonic() - began
    log.debug("model %s on %s, loaded in %.1f s", captioner.bundle.name, config.backend, took_s)
    return captioner


class Session:
    """Source, model and sink of a run, under one loop. `reread` gives the settings anew."""

    def __init__(
        self, config: StreamConfig, reread: Callable[[], StreamConfig], signals: Signals
    ) -> None:
        log.debug("%s", config)
        self._config, self._reread, self._signals = config, reread, signals
        self._notifier = Notifier()
        self._state = "listening"
        self._closed_overflows = 0  # of sources that are closed
        self._source: Source | None = open_source(config)
        try:
            with signals.held():  # what is cut short in an import does not always say why
                self._captioner = load_model(config)
            self._sink = Sink(config)
        except BaseException:
            self._close_source()
            raise
        self._loop = Loop(self._source, self._captioner, config, self._between)

    def run(self) -> None:
        """Caption until the source ends or a signal ends the run; always says what was missed."""
        told = False
        try:
            self._greet()
            self._notifier.ready()
            for caption in self._loop.captions():
                self._state = caption.state
                with self._signals.held():
                    self._sink.write(caption)
                if self._loop.stats.skipped_windows and not told:
                    log.warning("the model is late: windows are skipped; a larger --hop-s helps")
                    told = True
        except KeyboardInterrupt:
            pass
        finally:
            self._notifier.stopping()
            self._sink.close()
            self._close_source()
            self._report()

    def _between(self) -> None:
        """What the loop leaves time for between two blocks."""
        self._notifier.beat(self._status)
        if self._signals.reload:
            self._signals.reload = False
            self._notifier.reloading()
            self._reload()
            self._notifier.ready()

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
            self._reopen_sink(error)
        if self._source is None:  # closed for another, which could not be opened
            self._listen(open_source(self._config))

    def _use(self, config: StreamConfig, captioner: Captioner, changed: set[str]) -> None:
        """All of `config`, or nothing of it.

        Raises: AacStreamError; the source may then be closed.
        """
        sink, source = self._sink, None
        if OF_SINK & changed:
            sink = Sink(config)
        else:
            sink.reopen()
        if OF_SOURCE & changed:
            self._close_source()  # a device may let in only one
            try:
                source = open_source(config)
            except BaseException:
                if sink is not self._sink:
                    sink.close()
                raise
        if sink is not self._sink:
            self._sink.close()
        self._config, self._captioner, self._sink = config, captioner, sink
        self._loop.change(config, captioner)
        if source is not None:
            self._listen(source)
        set_level(config.log_level)

    def _reopen_sink(self, told: Exception) -> None:
        """Open the output of the old settings; if that fails too, go on with what is open."""
        try:
            self._sink.reopen()
        except AacStreamError as error:
            if str(error) != str(told):
                log.error("%s", error)

    def _listen(self, source: Source) -> None:
        self._source = source
        self._loop.listen(source)
        self._greet()

    def _close_source(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            self._closed_overflows += int(getattr(source, "overflows", 0))
            source.close()

    def _greet(self) -> None:
        source, wanted = self._source, self._captioner.bundle.features.sample_rate
        assert source is not None
        log.info("listening to %s at %d Hz; Ctrl-C ends", source.name, source.rate)
        if source.rate < wanted:
            missing = f"sounds above {source.rate / 2000:g} kHz are missing there"
            log.warning("%s; captions may be less true", missing)

    def _status(self) -> str:
        # Everybody on the machine may read this, so it says nothing of what was heard.
        return f"{self._state}, {self._loop.stats.windows} windows"

    def _report(self) -> None:
        """One line about the run, and one for each thing that went wrong."""
        stats = self._loop.stats
        log.info(
            "%.1f s heard, %d windows, real-time factor %.3f",
            *(stats.audio_s, stats.windows, stats.rtf),
        )
        if stats.skipped_windows:
            log.warning("%d windows skipped to keep up", stats.skipped_windows)
        if stats.lost_s or self._closed_overflows:
            lost = f"{stats.lost_s:.1f} s of audio lost"
            log.warning("%s, %d overflows of the device", lost, self._closed_overflows)


def _differ(name: str, one: StreamConfig, other: StreamConfig) -> bool:
    return bool(getattr(one, name) != getattr(other, name))
