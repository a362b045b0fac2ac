"""The spectrogram of the page: log-mel columns of the last minute, computed only for viewers."""

from __future__ import annotations

import base64
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.inference.features import FeatureSpec, Floats, LogMelStream

BANDS = 64  # Number of mel bands.
KEPT_S = 60.0  # Seconds of audio and of columns that are kept for each device.
FRAME_S, HOP_S = 0.064, 0.02  # Length and hop of a frame in seconds.
FRAMES = 4  # Number of frames in a column, which holds the maximum of each band.
COLUMN_S = FRAMES * HOP_S  # Duration of a column in seconds.
LOWEST_DB = -100.0  # Level of the value 0, in dB re a full-scale sine; 255 is full scale.
F_MIN, F_MAX = 50.0, 16_000.0  # Lower end of the lowest and upper end of the highest band, in Hz.
AT_ONCE_S = 15.0  # Maximum audio in seconds painted in one call, so that viewers hardly wait.
GAP_S = 0.05  # A longer time in seconds between two blocks is a gap and not a rounding error.


@dataclass(frozen=True)
class Columns:
    """Consecutive columns of the spectrogram of one device."""

    device: str
    number: int  # Running number over all devices, from 1 on.
    start_s: float  # Start of the first column, in seconds since the first sample.
    f_max: float  # Upper end of the highest band, in Hz.
    values: bytes  # `BANDS` bytes for each column, from the lowest band to the highest.

    @property
    def end_s(self) -> float:
        """Return the end of the last column, in seconds since the first sample."""
        return self.start_s + len(self.values) / BANDS * COLUMN_S

    def data(self) -> dict[str, Any]:
        """Return the columns as a JSON object."""
        return {
            "device": self.device,
            "start_s": round(self.start_s, 3),
            "step_s": COLUMN_S,
            "bands": BANDS,
            "f_min": F_MIN,
            "f_max": self.f_max,
            "lowest_db": LOWEST_DB,
            "values": base64.b64encode(self.values).decode(),
        }


class _Painter:
    """The spectrogram of one device.

    Audio waits here until somebody watches. At most `KEPT_S` seconds wait; older audio is dropped.
    """

    def __init__(self) -> None:
        self._blocks: deque[tuple[float, Floats]] = deque()
        self._waiting = 0  # Number of samples in `_blocks`.
        self._lock = threading.Lock()  # Guards `_blocks` and `_waiting`.
        self._next_s = -1.0  # Start of the next block in seconds, unless audio is missing.
        self._spec: FeatureSpec | None = None  # `_begin` sets this and the attributes below.
        self._stream: LogMelStream
        self._frames: Floats  # Frames that fill no whole column yet, shape (n_frames, BANDS).
        self._column_s: float  # Start of the next column in seconds.

    def hear(self, start_s: float, samples: Floats, rate: int) -> None:
        with self._lock:
            self._blocks.append((start_s, samples))
            self._waiting += len(samples)
            while self._waiting > KEPT_S * rate:
                self._waiting -= len(self._blocks.popleft()[1])

    def paint(self, rate: int) -> tuple[float, float, bytes] | None:
        """Compute the columns that are complete now.

        Parameters
        ----------
        rate
            Sample rate of the audio in Hz.

        Returns
        -------
        tuple of float, float and bytes, or None
            Start in seconds, upper end of the highest band in Hz, and values of the columns. None
            if no column is complete.
        """
        run = self._take(rate)
        if run is None:
            return None
        start_s, samples = run
        if self._spec is None or self._spec.sample_rate != rate or self._is_gap(start_s):
            self._begin(start_s, rate)
        assert self._spec is not None
        self._next_s = start_s + len(samples) / rate
        self._frames = np.concatenate([self._frames, self._stream.push(samples)])
        count = len(self._frames) // FRAMES
        if not count:
            return None
        level = self._frames[: count * FRAMES].reshape(count, FRAMES, BANDS).max(axis=1)
        self._frames = self._frames[count * FRAMES :]
        values = np.clip((level - LOWEST_DB) * (255.0 / -LOWEST_DB), 0.0, 255.0)
        first_s, self._column_s = self._column_s, self._column_s + count * COLUMN_S
        return first_s, self._spec.f_max, values.astype(np.uint8).tobytes()

    def _take(self, rate: int) -> tuple[float, Floats] | None:
        """Remove waiting blocks that follow without a gap, up to about `AT_ONCE_S` seconds.

        Returns
        -------
        tuple of float and ndarray, or None
            Start in seconds and the samples, shape (n_samples,). None if no block waits.
        """
        with self._lock:
            if not self._blocks:
                return None
            start_s, first = self._blocks.popleft()
            samples, length = [first], len(first)
            while self._blocks and length < AT_ONCE_S * rate:
                if abs(self._blocks[0][0] - start_s - length / rate) > GAP_S:
                    break
                samples.append(self._blocks.popleft()[1])
                length += len(samples[-1])
            self._waiting -= length
        return start_s, np.concatenate(samples)

    def _is_gap(self, start_s: float) -> bool:
        return abs(start_s - self._next_s) > GAP_S

    def _begin(self, start_s: float, rate: int) -> None:
        self._spec = display_spec(rate)
        self._stream = LogMelStream(self._spec)
        self._frames = np.zeros((0, BANDS), np.float32)
        self._column_s = start_s + (FRAME_S - HOP_S) / 2.0  # A frame stands for its middle.


class Spectrogram:
    """The spectrograms of all devices.

    The device threads call `hear`. The server thread calls all other methods.

    Parameters
    ----------
    rate
        Function that returns the present sample rate of the audio in Hz.
    """

    def __init__(self, rate: Callable[[], int]) -> None:
        self._rate = rate
        self._painters: dict[str, _Painter] = {}
        self._kept: deque[Columns] = deque()
        self._number = 0

    def hear(self, device: str, start_s: float, samples: Floats) -> None:
        """Keep audio until somebody watches; called in the thread of each device.

        Parameters
        ----------
        device
            Label of the device in captions.
        start_s
            Time of the first sample in seconds.
        samples
            Mono samples, shape (n_samples,).
        """
        painter = self._painters.get(device)
        if painter is None:
            painter = self._painters.setdefault(device, _Painter())
        painter.hear(start_s, samples, self._rate())

    def paint(self) -> list[Columns]:
        """Compute and return the new columns of all devices."""
        found = []
        for device, painter in list(self._painters.items()):
            columns = painter.paint(self._rate())
            if columns is not None:
                self._number += 1
                found.append(Columns(device, self._number, *columns))
        self._kept.extend(found)
        for new in found:
            self._forget(new.device, new.end_s - KEPT_S)
        return found

    def minute(self) -> list[Columns]:
        """Return the computed columns of the last minute."""
        return list(self._kept)

    def _forget(self, device: str, before_s: float) -> None:
        self._kept = deque(c for c in self._kept if c.device != device or c.end_s >= before_s)


def display_spec(rate: int) -> FeatureSpec:
    """Return features for display, in dB re a full-scale sine; the model's features do not matter.

    Parameters
    ----------
    rate
        Sample rate of the audio in Hz.
    """
    window = round(FRAME_S * rate)
    return FeatureSpec(
        sample_rate=rate,
        window=window,
        hop=round(HOP_S * rate),
        n_mels=BANDS,
        f_min=F_MIN,
        f_max=min(F_MAX, rate / 2.0),
        floor=1e-10,
        mean=20.0
        * float(np.log10(window / 4.0)),  # Peak of a full-scale sine in a Hann window, in dB.
        std=1.0,
    )
