"""Log-mel features in NumPy: of a whole signal, or frame by frame as audio arrives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float32]

CHUNK = 16  # Rows of the matrix product by which a stream computes its frames.
LARGEST_PEAK = 100.0  # Louder samples are integers that nobody scaled: full scale is 1.


@dataclass(frozen=True)
class FeatureSpec:
    """How a model wants its features; read from the bundle's manifest."""

    sample_rate: int  # Hz
    window: int  # samples per frame, also the FFT size
    hop: int  # samples from frame to frame
    n_mels: int
    f_min: float  # Hz
    f_max: float  # Hz
    floor: float  # smallest mel power, before the logarithm
    mean: float  # dB, subtracted
    std: float  # dB, divided by
    centred: bool = (
        False  # frame i is around sample i * hop, the ends reflected; else it begins there
    )
    top_db: float | None = None  # clip what lies further below the loudest value

    def frames(self, samples: int) -> int:
        """Number of whole frames in `samples` samples."""
        if self.centred:
            return samples // self.hop + 1
        return max(0, 1 + (samples - self.window) // self.hop)

    def samples(self, frames: int) -> int:
        """Number of samples that `frames` frames span."""
        return self.window + (frames - 1) * self.hop if frames else 0


def mel_bands(spec: FeatureSpec) -> Floats:
    """Triangular filters on the HTK mel scale, mel = 2595 log10(1 + f / 700), peaks of 1.

    Returns: shape = (window // 2 + 1, n_mels).
    """

    def to_mel(hz: float) -> float:
        return float(2595.0 * np.log10(1.0 + hz / 700.0))

    mels = np.linspace(to_mel(spec.f_min), to_mel(spec.f_max), spec.n_mels + 2)
    edges = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    bins = np.fft.rfftfreq(spec.window, 1.0 / spec.sample_rate)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


def level_db(features: Floats, spec: FeatureSpec) -> Floats:
    """Level of each of `features` (frames, mels) in dB re the RMS of a full-scale square wave.

    The triangles add up to one, so a frame's mel powers add up to sum |X_k|^2 over its bins, which
    by Parseval's theorem is window / 2 * sum (w x)^2 = window^2 / 2 * 3 / 8 * mean x^2 (Hann).
    """
    power = 10.0 ** ((features * spec.std + spec.mean) / 10.0)
    scale = 3.0 / 16.0 * spec.window**2
    return (10.0 * np.log10(power.sum(axis=1) / scale)).astype(np.float32)


def check_samples(samples: object, spec: FeatureSpec) -> Floats:
    """Return `samples`, mono audio at the model's rate, as 32-bit floats; shape = (samples,).

    Raises
    ------
    ValueError
        They are not a one-dimensional array of finite floats, from -1 to 1 at full scale, or too
        short for one frame.
    """
    wanted = f"audio must be a 1-D array of floats from -1 to 1 at {spec.sample_rate} Hz"
    if not isinstance(samples, np.ndarray):
        raise ValueError(f"{wanted}, not {type(samples).__name__}")
    if samples.dtype.kind != "f":
        scale = np.iinfo(samples.dtype).max + 1 if samples.dtype.kind == "i" else None
        hint = f"; divide by {scale}" if scale else ""
        raise ValueError(f"{wanted}, not of {samples.dtype}{hint}")
    if samples.ndim != 1:
        hint = "; mix the channels first" if samples.ndim == 2 else ""
        raise ValueError(f"{wanted}, not of shape {samples.shape}{hint}")
    if len(samples) < spec.window:
        raise ValueError(f"{wanted}, of at least {spec.window} samples, not {len(samples)}")
    if not np.isfinite(samples).all():
        raise ValueError(f"{wanted}; this one holds NaN or infinity")
    peak = float(np.abs(samples).max())
    if peak > LARGEST_PEAK:
        raise ValueError(f"{wanted}; this one reaches {peak:.6g}: divide it by its full scale")
    return samples.astype(np.float32, copy=False)


class LogMel:
    """Normalised log-mel frames of a signal that is given whole.

    Unless they are centred, frame i covers samples [i * hop, i * hop + window), so a frame is the
    same whether its signal came whole or in pieces, and overlapping windows can share frames.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self.spec = spec
        phase = 2.0 * np.pi * np.arange(spec.window) / spec.window
        self._hann = (0.5 - 0.5 * np.cos(phase)).astype(np.float32)  # periodic
        self._bands = mel_bands(spec)

    def __call__(self, samples: Floats) -> Floats:
        """Features of mono `samples` at the model's rate; shape = (frames, n_mels)."""
        spec = self.spec
        if spec.centred:
            half = spec.window // 2
            samples = np.pad(samples, (0, max(0, half + 1 - len(samples))))
            samples = np.pad(samples, half, mode="reflect")
        return self.normalised(self.power(samples))

    def power(self, samples: Floats) -> Floats:
        """Power spectra of the whole frames in `samples`; shape = (frames, window // 2 + 1)."""
        spec = self.spec
        if len(samples) < spec.window:
            return np.zeros((0, spec.window // 2 + 1), np.float32)
        frames = sliding_window_view(samples, spec.window)[:: spec.hop]
        spectrum = np.fft.rfft(frames * self._hann, axis=1)
        return (spectrum.real**2 + spectrum.imag**2).astype(np.float32)

    def normalised(self, power: Floats) -> Floats:
        """Features of power spectra (frames, window // 2 + 1); shape = (frames, n_mels)."""
        spec = self.spec
        level_db = 10.0 * np.log10(np.maximum(power @ self._bands, np.float32(spec.floor)))
        if spec.top_db is not None and len(level_db):
            level_db = np.maximum(level_db, level_db.max() - spec.top_db)
        return ((level_db - spec.mean) / spec.std).astype(np.float32)


class LogMelStream:
    """The same frames from audio that arrives in blocks of any size, which changes no bit of them.

    BLAS adds up in an order that depends on the number of rows, and on the row. So frame i is
    always row i % CHUNK of a product of CHUNK rows, of which others may be empty.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._log_mel, self._spec = LogMel(spec), spec
        self._rest = np.zeros(0, np.float32)
        self._row = 0  # Of the next frame.

    def push(self, samples: Floats) -> Floats:
        """The frames that `samples` completes; shape = (frames, n_mels)."""
        self._rest = np.concatenate([self._rest, samples])
        power = self._log_mel.power(self._rest)
        self._rest = self._rest[len(power) * self._spec.hop :]
        found = [np.zeros((0, self._spec.n_mels), np.float32)]
        while len(power):
            now, power = np.split(power, [CHUNK - self._row])
            rows = np.zeros((CHUNK, now.shape[1]), np.float32)
            last = self._row + len(now)
            rows[self._row : last] = now
            found.append(self._log_mel.normalised(rows)[self._row : last])
            self._row = last % CHUNK
        return np.concatenate(found)
