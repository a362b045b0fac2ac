"""The picture of the sound: log-mel columns of the last minute, computed while somebody watches."""

from __future__ import annotations

import base64
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.inference.features import FeatureSpec, Floats, LogMelStream

BANDS = 64
KEPT_S = 60.0
FRAME_S, HOP_S = 0.064, 0.02
FRAMES = 4  # a column is the loudest of so many frames, band by band
COLUMN_S = FRAMES * HOP_S
LOWEST_DB = -100.0  # re a full-scale sine; 0 in a column, and 255 is full scale
F_MIN, F_MAX = 50.0, 16_000.0  # Hz
AT_ONCE_S = 15.0  # of audio that are painted in one go, so that other viewers hardly wait
GAP_S = 0.05  # between two blocks that does not come from rounding


@dataclass(frozen=True)
class Columns:
    """Some columns of a device, one after another."""

    device: str
    number: int  # from 1 on, over all devices
    start_s: float  # of the first, since the first sample
    f_max: float  # Hz, the upper end of the highest band
    values: bytes  # BANDS for each column, from low to high

    @property
    def end_s(self) -> float:
        return self.start_s + len(self.values) / BANDS * COLUMN_S

    def data(self) -> dict[str, Any]:
        """As JSON has it."""
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
    """One device. Audio waits here until somebody looks; what is older than a minute is dropped."""

    def __init__(self) -> None:
        self._blocks: deque[tuple[float, Floats]] = deque()
        self._waiting = 0  # samples
        self._lock = threading.Lock()
        self._next_s = -1.0  # where the next block begins, if none is missing
        self._spec: FeatureSpec | None = None  # what follows is set where that is
        self._stream: LogMelStream
        self._frames: Floats  # that make no whole column yet
        self._column_s: float  # where the next column begins

    def hear(self, start_s: float, samples: Floats, rate: int) -> None:
        with self._lock:
            self._blocks.append((start_s, samples))
            self._waiting += len(samples)
            while self._waiting > KEPT_S * rate:
                self._waiting -= len(self._blocks.popleft()[1])

    def paint(self, rate: int) -> tuple[float, float, bytes] | None:
        """Start in seconds, upper end in Hz and values of the columns that are whole now."""
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
        """The blocks that follow one on another, up to AT_ONCE_S."""
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
        self._column_s = start_s + (FRAME_S - HOP_S) / 2.0  # a frame tells of its middle


class Spectrogram:
    """All devices. `hear` is a listener of the device_manager; the rest is called in the server's thread."""

    def __init__(self, rate: Callable[[], int]) -> None:
        """`rate`: Hz of the samples that are heard now."""
        self._rate = rate
        self._painters: dict[str, _Painter] = {}
        self._kept: deque[Columns] = deque()
        self._number = 0

    def hear(self, device: str, start_s: float, samples: Floats) -> None:
        """Keep it until somebody looks; called in the thread of each device."""
        painter = self._painters.get(device)
        if painter is None:
            painter = self._painters.setdefault(device, _Painter())
        painter.hear(start_s, samples, self._rate())

    def paint(self) -> list[Columns]:
        """What is new, some for each device."""
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
        """What was painted of late."""
        return list(self._kept)

    def _forget(self, device: str, before_s: float) -> None:
        self._kept = deque(c for c in self._kept if c.device != device or c.end_s >= before_s)


def display_spec(rate: int) -> FeatureSpec:
    """Features in dB re a full-scale sine, whatever the model's own are."""
    window = round(FRAME_S * rate)
    return FeatureSpec(
        sample_rate=rate,
        window=window,
        hop=round(HOP_S * rate),
        n_mels=BANDS,
        f_min=F_MIN,
        f_max=min(F_MAX, rate / 2.0),
        floor=1e-10,
        mean=20.0 * float(np.log10(window / 4.0)),  # of a Hann window's peak, for that sine
        std=1.0,
    )
