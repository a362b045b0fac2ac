"""The streaming loop: audio in, one caption per window out, never further and further behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from edge.captioner import Captioner
from edge.config import StreamConfig
from edge.features import Floats
from edge.resample import Resampler
from edge.ring import Block
from edge.sources import Source
from edge.windows import windows_of


@dataclass(frozen=True)
class Caption:
    """What a window held. Times are in seconds since the first sample."""

    start_s: float
    end_s: float
    state: str  # "caption"; "quiet"; "listening" when the model is not sure enough to speak
    text: str  # empty unless `state` is "caption"
    confidence: float  # 0 to 1
    level_db: float  # of the window's loud parts, re full scale


@dataclass
class Stats:
    """What a run did; the loop counts, others read."""

    windows: int = 0
    skipped_windows: int = 0
    lost_s: float = 0.0  # audio that was overwritten before the loop could read it
    audio_s: float = 0.0
    busy_s: float = 0.0  # spent on resampling, features and the model

    @property
    def rtf(self) -> float:
        """Real-time factor: computing time per second of audio."""
        return self.busy_s / self.audio_s if self.audio_s else 0.0


class Loop:
    """Slides a window of `window_s` over a source, one step of `hop_s` at a time.

    `between` is called before each block is asked for; it may call `change` and `listen`.
    """

    def __init__(
        self,
        source: Source,
        captioner: Captioner,
        config: StreamConfig,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self.stats = Stats()
        self._source, self._captioner, self._config = source, captioner, config
        self._between = between
        self._blocks = source.blocks()
        self._heard_at = time.monotonic()  # when the last block came
        self._next: tuple[StreamConfig, Captioner] | None = None  # from the next block on
        self._restart()

    def change(self, config: StreamConfig, captioner: Captioner) -> None:
        """Go on with other settings or another model. What has been heard stays in the windows.

        Unless these are of another length or of other features: then they begin anew.
        """
        old = self._config
        spec = captioner.bundle.features
        if (config.window_s, config.hop_s, spec) != (old.window_s, old.hop_s, self._spec):
            self._next = config, captioner
        else:
            self._config, self._captioner = config, captioner

    def listen(self, source: Source) -> None:
        """Go on with another source; what has sounded since the last block is lost."""
        if not source.lossless:
            lost_s = time.monotonic() - self._heard_at
            self.stats.lost_s += lost_s
            self.stats.audio_s += lost_s
        self._source, self._blocks = source, source.blocks()
        self._next = self._next or (self._config, self._captioner)

    def _restart(self) -> None:
        config, self._spec = self._config, self._captioner.bundle.features
        self._window = round(config.window_s * self._spec.sample_rate / self._spec.hop)
        self._hop = max(1, round(config.hop_s * self._spec.sample_rate / self._spec.hop))
        self._offset_s = self.stats.audio_s  # time of the first sample since the last gap
        self._resampler = Resampler(self._source.rate, self._spec.sample_rate)
        self._windows = windows_of(self._spec)
        self._next_end = self._window  # hop at which the next window ends

    def captions(self) -> Iterator[Caption]:
        """One caption per window as it is heard; ends when the source does.

        When inference is late and the source does not wait, only the newest window is computed.
        """
        while (block := self._block()) is not None:
            if block.lost or self._next:
                # No window reaches across a gap: what it would say did not sound like that.
                yield from self._finish()
                self._config, self._captioner = self._next or (self._config, self._captioner)
                self._next = None
                self.stats.lost_s += block.lost / self._source.rate
                self.stats.audio_s += block.lost / self._source.rate
                self._restart()
            self.stats.audio_s += len(block.samples) / self._source.rate
            yield from self._push(block.samples)
        yield from self._finish()

    def _block(self) -> Block | None:
        """The next block, or None at the end of the source."""
        self._between()
        block = next(self._blocks, None)
        self._heard_at = time.monotonic()
        return block

    def _push(self, samples: Floats, last: bool = False) -> Iterator[Caption]:
        began = time.perf_counter()
        self._windows.push(self._resampler.push(samples, last))
        self.stats.busy_s += time.perf_counter() - began
        due = max(0, (self._windows.heard - self._next_end) // self._hop + 1)
        if due > 1 and not self._source.lossless:
            self.stats.skipped_windows += due - 1
            self._next_end += (due - 1) * self._hop
            due = 1
        for _ in range(due):
            yield self._caption(self._next_end)
            self._next_end += self._hop
        # The window that was last heard stays: the source may end before the next is full.
        self._windows.forget(self._next_end - self._hop - self._window)

    def _finish(self) -> Iterator[Caption]:
        """The end of a source: what no window has covered yet, if it is worth a caption."""
        yield from self._push(np.zeros((0, 1), np.float32), last=True)
        whole = self._next_end == self._window  # no window so far
        heard = self._windows.heard
        rest = heard - (0 if whole else self._next_end - self._hop)
        if rest > (0 if whole else self._hop // 2):
            yield self._caption(heard)

    def _caption(self, end: int) -> Caption:
        """The caption of the window that ends at hop `end`."""
        began = time.perf_counter()
        start = max(0, end - self._window)
        features, levels = self._windows.window(start, end)
        level = _loud(levels)
        state, text, confidence = "quiet", "", 1.0
        if level >= self._config.quiet_db:
            heard = self._captioner.describe(features)
            confidence = heard.confidence
            if confidence < self._config.min_confidence:
                state = "listening"
            elif not heard.quiet:
                state, text = "caption", heard.text
        self.stats.windows += 1
        self.stats.busy_s += time.perf_counter() - began
        return Caption(
            start_s=round(self._offset_s + self._seconds(start), 3),
            end_s=round(self._offset_s + self._seconds(end), 3),
            state=state,
            text=text,
            confidence=round(confidence, 3),
            level_db=round(level, 1),
        )

    def _seconds(self, hops: int) -> float:
        return hops * self._spec.hop / self._spec.sample_rate


def _loud(level_db: Floats) -> float:
    """Level that a twentieth of the frames exceed: a short bark counts, a click does not."""
    return float(np.percentile(level_db, 95.0))
