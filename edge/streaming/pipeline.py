"""The streaming loop: audio in, one caption per window out, never further and further behind."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, replace

import numpy as np

from edge.audio.file import Source
from edge.audio.resampler import Resampler
from edge.audio.validation import validated
from edge.config import StreamConfig
from edge.errors import AacStreamError
from edge.inference.captioner import Captioner
from edge.inference.feature_buffer import feature_buffer
from edge.inference.features import FeatureSpec, Floats, LogMelStream
from edge.streaming.activity_gate import SILENCE_DB, ActivityGate, loud_db

COSTS = 5  # Windows whose costs are known; a model is late by the median.
SURE_COSTS = 3  # Fewer windows tell nothing about the next.

# Takes the time of the first sample in seconds, and mono samples at the model's rate.
Tap = Callable[[float, Floats], None]


@dataclass(frozen=True)
class Caption:
    """What a window held. Times are in seconds since the first sample."""

    start_s: float
    end_s: float
    state: str  # "caption"; "quiet" if nothing stands out; "listening" if the model is not sure
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

    def __add__(self, other: Stats) -> Stats:
        return Stats(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def copy(self) -> Stats:
        """Return the counts as they are now."""
        return replace(self)

    @property
    def rtf(self) -> float:
        """Real-time factor: computing time per second of audio."""
        return self.busy_s / self.audio_s if self.audio_s else 0.0


class StreamingCaptioner:
    """Slides a window of `window_s` over a source, one step of `hop_s` at a time.

    `captions` runs in one thread; others may call `change` and `end`, and read what is public.
    """

    def __init__(
        self,
        source: Source,
        captioner: Captioner,
        config: StreamConfig,
        offset_s: float = 0.0,
        tap: Tap | None = None,
    ) -> None:
        """`offset_s`: the time of the first sample; `tap` is given all audio, and must be quick."""
        self.stats = Stats()
        self.config, self.captioner = config, captioner  # that are in use
        self.level_db = SILENCE_DB  # of the newest block, re full scale
        self.lived_at = time.monotonic()  # when it last asked for audio
        self.wall_began = time.time() - offset_s  # Wall-clock time of 0 s, by the newest block.
        self.late = False  # Whether windows were skipped since the model takes longer than a hop.
        self._costs_s: deque[float] = deque(maxlen=COSTS)  # Seconds that the last windows took.
        self._source, self._start_s, self._tap = source, offset_s, tap
        self._next: tuple[StreamConfig, Captioner] | None = None  # from the next block on
        self.ended = False  # no more is wanted of it
        self._gate = ActivityGate(_plain(captioner.bundle.features))
        self._restart()

    @property
    def now_s(self) -> float:
        """The time of the newest sample."""
        return self._start_s + self.stats.audio_s

    def change(self, config: StreamConfig, captioner: Captioner) -> None:
        """Go on with other settings or another model. What has been heard stays in the windows.

        Unless these are of another length or of other features: then they begin anew.
        """
        self._next = config, captioner

    def skip(self, seconds: float) -> None:
        """Begin anew after so much lost audio; not while `captions` runs."""
        self.stats.lost_s += seconds
        self.stats.audio_s += seconds
        self._gate.skip(seconds)
        self._restart()

    def end(self) -> None:
        """No more captions, from the next block on."""
        self.ended = True

    def _restart(self) -> None:
        config, self._spec = self.config, self.captioner.bundle.features
        self._window = round(config.window_s * self._spec.sample_rate / self._spec.hop)
        self._hop = max(1, round(config.hop_s * self._spec.sample_rate / self._spec.hop))
        self._offset_s = self.now_s  # time of the first sample since the last gap
        self._samples = 0  # since then, at the model's rate
        self._rate = self._source.rate  # Hz; a pipe tells it only with its first block.
        self._resampler = Resampler(self._rate, self._spec.sample_rate, self._source.name)
        self._windows = feature_buffer(self._spec)
        plain = _plain(self._spec)
        self._frames = None if plain == self._spec else LogMelStream(plain)  # of the gate alone
        if self._gate.features != plain:
            self._gate = ActivityGate(plain)
        self._next_end = self._window  # hop at which the next window ends

    def captions(self) -> Iterator[Caption]:
        """One caption per window as it is heard; ends when the source does.

        A source that does not wait may be faster than the loop: see `_is_behind`.

        Raises: the error of the source, if it ends by one, after what was heard before.
        """
        blocks, error = validated(self._source), None
        while not self.ended:
            try:
                block = next(blocks, None)
            except AacStreamError as reason:
                block, error = None, reason
            self.lived_at = time.monotonic()
            if self.ended:
                return
            if block is None:
                yield from self._finish()
                break
            if self._changes() or block.lost or self._source.rate != self._rate:
                # No window reaches across a gap: what it would say did not sound like that.
                yield from self._finish()
                self._use_next()
                self.skip(block.lost / self._source.rate)
            self.stats.audio_s += len(block.samples) / self._source.rate
            self.wall_began = time.time() - self.now_s
            yield from self._push(block.samples)
        if error is not None:
            raise error

    def _changes(self) -> bool:
        """Whether windows must begin anew, for what comes next; if not, it is in use at once."""
        if self._next is None:
            return False
        config, captioner = self._next
        old, spec = self.config, captioner.bundle.features
        if (config.window_s, config.hop_s, spec) != (old.window_s, old.hop_s, self._spec):
            return True
        self._use_next()
        return False

    def _use_next(self) -> None:
        following, self._next = self._next, None
        if following is not None:
            self.config, self.captioner = following

    def _push(self, samples: Floats, last: bool = False) -> Iterator[Caption]:
        began = time.perf_counter()
        if len(samples):
            self.level_db = level_db_of(samples)
        resampled = self._resampler.push(samples, last)
        if self._tap is not None and len(resampled):
            self._tap(self._offset_s + self._samples / self._spec.sample_rate, resampled)
        self._samples += len(resampled)
        self._windows.push(resampled)
        if self._frames is not None:
            self._gate.push(self._frames.push(resampled))
        self.stats.busy_s += time.perf_counter() - began
        due = max(0, (self._windows.heard - self._next_end) // self._hop + 1)
        if due > 1 and not self._source.lossless and self._is_behind():
            self.stats.skipped_windows += due - 1
            self._next_end += (due - 1) * self._hop
            due = 1
        for _ in range(due):
            yield self._caption(self._next_end)
            self._next_end += self._hop
            if self.ended:
                return
        # The window that was last heard stays: the source may end before the next is full.
        before = self._next_end - self._hop - self._window
        self._windows.forget(before)
        self._gate.forget(before)

    def _is_behind(self) -> bool:
        """Return True if only the newest of the windows that are due is worth its time.

        Several windows fall due at once if they are close together, or if the loop was held up
        for a moment. It catches up by itself, unless a window takes longer than a hop; and it
        does not try to if what it has not captioned yet is longer than a window.
        """
        # The median, since a single window may be held up, and the first takes longest.
        costs_s = sorted(self._costs_s) or [0.0]
        too_slow = costs_s[len(costs_s) // 2] > self._seconds(self._hop)
        is_sure = len(costs_s) >= SURE_COSTS
        if not (too_slow and is_sure) and self._windows.heard - self._next_end <= self._window:
            return False
        self.late = self.late or too_slow
        return True

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
        if self._frames is None:
            self._gate.push(self._windows.window(self._gate.heard, end)[0])
        level = loud_db(levels)
        state, text, confidence = "quiet", "", 1.0
        stands_out = self._gate.novelty_db(start, end) >= self.config.novelty_db
        if level >= self.config.quiet_db and stands_out:
            heard = self.captioner.describe(features)
            confidence = heard.confidence
            if confidence < self.config.min_confidence:
                state = "listening"
            elif not heard.quiet:
                state, text = "caption", heard.text
        cost_s = time.perf_counter() - began
        self._costs_s.append(cost_s)
        self.stats.windows += 1
        self.stats.busy_s += cost_s
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


def _plain(spec: FeatureSpec) -> FeatureSpec:
    """`spec` with frames that are the same in every window."""
    return replace(spec, centred=False, top_db=None)


def level_db_of(samples: Floats) -> float:
    """The root mean square of `samples` (frames, channels), in dB re full scale."""
    power = float(np.mean(np.square(samples)))
    return 10.0 * float(np.log10(max(power, 10.0 ** (SILENCE_DB / 10.0))))
