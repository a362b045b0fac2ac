"""Caption a stream of audio window by window, with bounded delay."""

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

COSTS = 5  # Number of recent windows whose computing times are kept; their median counts.
SURE_COSTS = 3  # Fewer computing times do not show whether the model is too slow.

# Takes the time of the first sample in seconds, and mono samples at the model's rate, shape
# (samples,).
Tap = Callable[[float, Floats], None]


@dataclass(frozen=True)
class Caption:
    """The result of one window. Times are in seconds since the first sample."""

    start_s: float
    end_s: float
    # "caption"; "quiet" if nothing stands out; "listening" if the confidence is too low.
    state: str
    text: str  # Empty unless `state` is "caption".
    confidence: float  # From 0 to 1.
    level_db: float  # Level of the loud parts of the window, in dB re full scale.


@dataclass
class Stats:
    """Counts of a run; one thread writes them, and other threads read them."""

    windows: int = 0  # Number of windows with a result.
    skipped_windows: int = 0  # Number of windows skipped to keep up.
    lost_s: float = 0.0  # Seconds of audio that were lost before they were read.
    audio_s: float = 0.0  # Seconds of audio, including lost audio.
    busy_s: float = 0.0  # Seconds of computing: resampling, features and the model.

    def __add__(self, other: Stats) -> Stats:
        return Stats(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def copy(self) -> Stats:
        """Return a copy of the present counts."""
        return replace(self)

    @property
    def rtf(self) -> float:
        """Real-time factor: computing time per second of audio."""
        return self.busy_s / self.audio_s if self.audio_s else 0.0


class StreamingCaptioner:
    """Caption a window of `window_s` of a source every `hop_s`.

    One thread runs `captions`. Other threads may call `change` and `end`, and read the public
    attributes.
    """

    def __init__(
        self,
        source: Source,
        captioner: Captioner,
        config: StreamConfig,
        offset_s: float = 0.0,
        tap: Tap | None = None,
    ) -> None:
        """Prepare to read `source`.

        Parameters
        ----------
        source
            The audio; it is not closed here.
        captioner
            The model.
        config
            The settings of the run.
        offset_s
            Time of the first sample in seconds.
        tap
            Receives all audio in the thread of `captions`, so it must be quick.
        """
        self.stats = Stats()
        self.config, self.captioner = config, captioner  # In use now.
        self.level_db = SILENCE_DB  # Level of the newest block in dB re full scale.
        self.lived_at = time.monotonic()  # Monotonic time of the last request for audio.
        self.wall_began = time.time() - offset_s  # Wall-clock time of 0 s, by the newest block.
        self.late = False  # True after windows were skipped because the model is too slow.
        self._costs_s: deque[float] = deque(maxlen=COSTS)  # Seconds that the last windows took.
        self._source, self._start_s, self._tap = source, offset_s, tap
        self._next: tuple[StreamConfig, Captioner] | None = None  # For the next block.
        self.ended = False  # True after `end`.
        self._gate = ActivityGate(_plain(captioner.bundle.features))
        self._restart()

    @property
    def now_s(self) -> float:
        """Time of the newest sample in seconds."""
        return self._start_s + self.stats.audio_s

    def change(self, config: StreamConfig, captioner: Captioner) -> None:
        """Use other settings or another model from the next block on.

        Audio that was already read stays in the windows. Only if the window length, the hop or the
        features change, new windows begin with the next block.
        """
        self._next = config, captioner

    def skip(self, seconds: float) -> None:
        """Restart the windows after `seconds` of lost audio.

        No other thread may run `captions` meanwhile.
        """
        self.stats.lost_s += seconds
        self.stats.audio_s += seconds
        self._gate.skip(seconds)
        self._restart()

    def end(self) -> None:
        """Make `captions` end at the next block."""
        self.ended = True

    def _restart(self) -> None:
        config, self._spec = self.config, self.captioner.bundle.features
        self._window = round(config.window_s * self._spec.sample_rate / self._spec.hop)
        self._hop = max(1, round(config.hop_s * self._spec.sample_rate / self._spec.hop))
        self._offset_s = self.now_s  # Time of the first sample since the last gap.
        self._samples = 0  # Number of samples since then, at the model's rate.
        self._rate = self._source.rate  # Hz; a pipe knows its rate only with its first block.
        self._resampler = Resampler(self._rate, self._spec.sample_rate, self._source.name)
        self._windows = feature_buffer(self._spec)
        plain = _plain(self._spec)
        # The gate computes its own frames only if those of the windows are not plain.
        self._frames = None if plain == self._spec else LogMelStream(plain)
        if self._gate.features != plain:
            self._gate = ActivityGate(plain)
        self._next_end = self._window  # Hop at which the next window ends.

    def captions(self) -> Iterator[Caption]:
        """Yield the caption of each window, until the source ends or `end` is called.

        A live source may be faster than this loop, so that windows are skipped: see `_is_behind`.

        Raises
        ------
        AacStreamError
            The source ended with this error. The captions of its last audio are yielded first.
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
                # Windows restart, because one across a gap would contain sound that never occurred.
                yield from self._finish()
                self._use_next()
                self.skip(block.lost / self._source.rate)
            self.stats.audio_s += len(block.samples) / self._source.rate
            self.wall_began = time.time() - self.now_s
            yield from self._push(block.samples)
        if error is not None:
            raise error

    def _changes(self) -> bool:
        """Return True if the pending settings need new windows; otherwise use them at once."""
        if self._next is None:
            return False
        config, captioner = self._next
        old, spec = self.config, captioner.bundle.features
        if (config.window_s, config.hop_s, spec) != (old.window_s, old.hop_s, self._spec):
            return True
        self._use_next()
        return False

    def _use_next(self) -> None:
        pending, self._next = self._next, None
        if pending is not None:
            self.config, self.captioner = pending

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
        # The audio of the last window stays, because the source may end before the next is full.
        before = self._next_end - self._hop - self._window
        self._windows.forget(before)
        self._gate.forget(before)

    def _is_behind(self) -> bool:
        """Return True if all due windows except the newest must be skipped.

        Several windows are due at once if the hop is short, or if this thread was delayed for a
        moment. The loop catches up without skipping, except in two cases: a window takes longer
        than a hop to compute, or the audio without captions is longer than a window.
        """
        # The median ignores a single delayed window, and the first window, which takes longest.
        costs_s = sorted(self._costs_s) or [0.0]
        too_slow = costs_s[len(costs_s) // 2] > self._seconds(self._hop)
        is_sure = len(costs_s) >= SURE_COSTS
        if not (too_slow and is_sure) and self._windows.heard - self._next_end <= self._window:
            return False
        self.late = self.late or too_slow
        return True

    def _finish(self) -> Iterator[Caption]:
        """Yield the last captions of a source or before a gap.

        The rest of the audio gets a window of its own if it is longer than half a hop, or if no
        window came before.
        """
        yield from self._push(np.zeros((0, 1), np.float32), last=True)
        is_first = self._next_end == self._window  # There was no window so far.
        heard = self._windows.heard
        rest = heard - (0 if is_first else self._next_end - self._hop)
        if rest > (0 if is_first else self._hop // 2):
            yield self._caption(heard)

    def _caption(self, end: int) -> Caption:
        """Return the caption of the window that ends at hop `end`."""
        began = time.perf_counter()
        start = max(0, end - self._window)
        features, levels = self._windows.window(start, end)
        if self._frames is None:
            self._gate.push(self._windows.window(self._gate.heard, end)[0])
        level = loud_db(levels)
        state, text, confidence = "quiet", "", 1.0
        stands_out = self._gate.novelty_db(start, end) >= self.config.novelty_db
        if level >= self.config.quiet_db and stands_out:
            description = self.captioner.describe(features)
            confidence = description.confidence
            if confidence < self.config.min_confidence:
                state = "listening"
            elif not description.quiet:
                state, text = "caption", description.text
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
    """Return `spec` with frames that do not depend on the window: not centred, no `top_db`."""
    return replace(spec, centred=False, top_db=None)


def level_db_of(samples: Floats) -> float:
    """Return the RMS level of `samples`, shape (frames, channels), in dB re full scale."""
    power = float(np.mean(np.square(samples)))
    return 10.0 * float(np.log10(max(power, 10.0 ** (SILENCE_DB / 10.0))))
