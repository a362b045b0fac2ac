"""Mix all channels to mono without cancellation between channels in opposite phase."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from edge.inference.features import Floats

log = logging.getLogger(__name__)

STEP_S = 0.05  # Seconds from one update of the channel weights to the next.
# Weight of the past in the running average of powers, per step. The time constant is about 0.2 s.
MEMORY = 0.8
OPPOSITE = -0.8  # A channel is inverted if its correlation with another falls below this.
NOT_OPPOSITE = -0.3  # An inverted channel is restored if its correlation rises above this.
# A mix has lost sound if its power is below this share of the power of a mix of independent
# channels.
CANCELLED = 0.1
NOTHING = 1e-12  # Power re full scale below which channels count as silent (-120 dB).
WARN_S = 1.0  # Seconds of cancellation before the warning is logged.


class Mixer:
    """Mix channels to their mean, with channels in opposite phase inverted.

    A microphone with swapped wires, or a cable for balanced signals, gives two channels whose sum
    is silence. The weights are updated once per step of the stream. They depend on the audio alone
    and not on the size of the blocks.
    """

    def __init__(self, rate: int, name: str = "") -> None:
        """Create a mixer.

        Parameters
        ----------
        rate
            Sample rate in Hz.
        name
            Name of the source for log messages.
        """
        self._step, self._name = max(1, round(STEP_S * rate)), name
        self._buffer: Floats | None = None  # Samples of one step; shape = (frames, channels).
        self._filled = 0  # Number of frames in the buffer.
        self._cancelled_steps = 0
        self._start(0)

    def _start(self, channels: int) -> None:
        # Averaged products of each pair of channels; the diagonal holds the powers.
        self._power: NDArray[np.float64] = np.zeros((channels, channels))
        self._signs = np.ones(channels)
        self._weights: NDArray[np.float64] | None = None
        self._buffer = np.zeros((self._step, channels), np.float32)
        self._filled = 0

    def push(self, samples: Floats, last: bool = False) -> Floats:
        """Return the mono audio that `samples` completes.

        Parameters
        ----------
        samples : shape = (frames, channels)
            The next audio of the stream.
        last
            True at the end of the stream, to return the buffered rest too.

        Returns
        -------
        shape = (frames,)
        """
        if samples.shape[1] == 1 and not self._filled:
            return samples[:, 0].astype(np.float32, copy=False)
        out = []
        if len(samples):
            assert self._buffer is not None
            if samples.shape[1] != self._buffer.shape[1]:
                out.append(self._mix(self._filled))
                if samples.shape[1] == 1:
                    self._filled = 0
                    return np.concatenate([*out, samples[:, 0]])
                self._start(samples.shape[1])
            at = 0
            while at < len(samples):
                take = min(self._step - self._filled, len(samples) - at)
                self._buffer[self._filled : self._filled + take] = samples[at : at + take]
                self._filled, at = self._filled + take, at + take
                if self._filled == self._step:
                    out.append(self._mix(self._step))
                    self._filled = 0
        if last:
            out.append(self._mix(self._filled))
            self._filled = 0
        return np.concatenate(out) if out else np.zeros(0, np.float32)

    def _mix(self, frames: int) -> Floats:
        """Return the mix of the first `frames` frames in the buffer."""
        assert self._buffer is not None
        samples = self._buffer[:frames]
        if not frames or samples.shape[1] < 2:
            return samples.mean(axis=1, dtype=np.float32) if frames else np.zeros(0, np.float32)
        plain = np.full(samples.shape[1], 1.0 / samples.shape[1])
        weights, before = self._weights, self._weights
        if frames == self._step:  # Fewer samples may be correlated by chance.
            weights = self._decide(samples.astype(np.float64))
        weights = plain if weights is None else weights
        before = weights if before is None else before
        self._weights = weights
        if np.array_equal(weights, plain) and np.array_equal(before, plain):
            return samples.mean(axis=1, dtype=np.float32)
        # A sudden change of the weights would add a click to the audio, so they change linearly.
        ramp = np.linspace(0.0, 1.0, frames)[:, None]
        mixed = samples * (before + ramp * (weights - before))
        return mixed.sum(axis=1).astype(np.float32)

    def _decide(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the weight of each channel after the step `samples` (frames, channels)."""
        count = samples.shape[1]
        self._power = MEMORY * self._power + samples.T @ samples / len(samples)
        levels = np.sqrt(np.diag(self._power))
        correlation = self._power / np.maximum(np.outer(levels, levels), NOTHING)
        signs = np.ones(count)
        for i in range(1, count):
            limit = OPPOSITE if self._signs[i] > 0 else NOT_OPPOSITE
            if (correlation[i, :i] * signs[:i]).min() < limit:
                signs[i] = -1.0
        self._signs = signs
        weights = signs / count
        mean = np.diag(self._power).mean()
        if mean > NOTHING and weights @ self._power @ weights < CANCELLED * mean / count:
            weights = np.zeros(count)
            weights[int(np.argmax(levels))] = 1.0
        self._warn_if_cancelled(mean)
        return weights

    def _warn_if_cancelled(self, mean: float) -> None:
        """Warn once if the plain mean of the channels cancels them for WARN_S seconds."""
        count = len(self._power)
        lost = mean > NOTHING and self._power.sum() / count**2 < CANCELLED * mean / count
        if self._cancelled_steps < 0:
            return
        self._cancelled_steps = self._cancelled_steps + 1 if lost else 0
        if self._cancelled_steps * STEP_S >= WARN_S:
            log.warning(
                "%s: its channels cancel each other (opposite phase); they are mixed so that they "
                "do not, and --channel 1 listens to one alone",
                self._name or "the audio",
            )
            self._cancelled_steps = -1
