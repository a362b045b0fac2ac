"""Compute log-mel features in NumPy, of a whole signal or frame by frame as audio arrives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float32]

CHUNK = 16  # Number of frames (rows) in each matrix product of a stream.
LARGEST_PEAK = 100.0  # Full scale is 1; samples above this limit are unscaled integers.


@dataclass(frozen=True)
class FeatureSpec:
    """Parameters of a model's features, read from the bundle's manifest."""

    sample_rate: int  # Hz
    window: int  # Samples per frame; also the FFT size.
    hop: int  # Samples from the start of a frame to the start of the next.
    n_mels: int
    f_min: float  # Hz
    f_max: float  # Hz
    floor: float  # Smallest mel power; smaller values are clipped before the logarithm.
    mean: float  # dB; subtracted from the log-mel values.
    std: float  # dB; divides the difference.
    # If True, frame i is centred on sample i * hop and the signal is reflected at its ends. If
    # False, frame i begins at sample i * hop.
    centred: bool = False
    top_db: float | None = None  # dB; values further below the loudest one are clipped.

    def frames(self, samples: int) -> int:
        """Return the number of whole frames in `samples` samples."""
        if self.centred:
            return samples // self.hop + 1
        return max(0, 1 + (samples - self.window) // self.hop)

    def samples(self, frames: int) -> int:
        """Return the number of samples that `frames` frames span."""
        return self.window + (frames - 1) * self.hop if frames else 0


def mel_bands(spec: FeatureSpec) -> Floats:
    """Return triangular filters with a peak of 1 on the HTK mel scale.

    The scale is mel = 2595 log10(1 + f / 700), with f in Hz.

    Returns
    -------
    shape = (window // 2 + 1, n_mels)
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
    """Return the level of each frame in dB re the RMS of a full-scale square wave.

    The triangular filters add up to one, so the mel powers of a frame add up to sum |X_k|^2 over
    its bins. By Parseval's theorem this sum is
    window / 2 * sum (w x)^2 = window^2 / 2 * 3 / 8 * mean x^2 for a Hann window w.

    Parameters
    ----------
    features : shape = (frames, mels)
        Normalised log-mel features.
    spec
        Parameters of the features.

    Returns
    -------
    shape = (frames,)
    """
    power = 10.0 ** ((features * spec.std + spec.mean) / 10.0)
    scale = 3.0 / 16.0 * spec.window**2
    return (10.0 * np.log10(power.sum(axis=1) / scale)).astype(np.float32)


def check_samples(samples: object, spec: FeatureSpec) -> Floats:
    """Return `samples`, mono audio at the model's rate, as 32-bit floats; shape = (samples,).

    Raises
    ------
    ValueError
        `samples` are not a one-dimensional array of finite floats from -1 to 1 at full scale, or
        are shorter than one frame.
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
    """Normalised log-mel features of a whole signal.

    If frames are not centred, frame i covers the samples [i * hop, i * hop + window). A frame is
    then the same whether the signal arrives whole or in pieces, and overlapping windows can share
    frames.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self.spec = spec
        phase = 2.0 * np.pi * np.arange(spec.window) / spec.window
        self._hann = (0.5 - 0.5 * np.cos(phase)).astype(np.float32)  # Periodic Hann window.
        self._bands = mel_bands(spec)

    def __call__(self, samples: Floats) -> Floats:
        """Return the features of mono `samples` at the model's rate; shape = (frames, n_mels)."""
        spec = self.spec
        if spec.centred:
            half = spec.window // 2
            samples = np.pad(samples, (0, max(0, half + 1 - len(samples))))
            samples = np.pad(samples, half, mode="reflect")
        return self.normalised(self.power(samples))

    def power(self, samples: Floats) -> Floats:
        """Return the power spectra of the whole frames in `samples`.

        Returns
        -------
        shape = (frames, window // 2 + 1)
        """
        spec = self.spec
        if len(samples) < spec.window:
            return np.zeros((0, spec.window // 2 + 1), np.float32)
        frames = sliding_window_view(samples, spec.window)[:: spec.hop]
        spectrum = np.fft.rfft(frames * self._hann, axis=1)
        return (spectrum.real**2 + spectrum.imag**2).astype(np.float32)

    def normalised(self, power: Floats) -> Floats:
        """Return the features of power spectra.

        Parameters
        ----------
        power : shape = (frames, window // 2 + 1)
            Power spectra.

        Returns
        -------
        shape = (frames, n_mels)
        """
        spec = self.spec
        level_db = 10.0 * np.log10(np.maximum(power @ self._bands, np.float32(spec.floor)))
        if spec.top_db is not None and len(level_db):
            level_db = np.maximum(level_db, level_db.max() - spec.top_db)
        return ((level_db - spec.mean) / spec.std).astype(np.float32)


class LogMelStream:
    """Log-mel features of a stream; the size of its blocks changes no bit of them.

    The order in which BLAS adds depends on the number of rows and on the row. Frame i is therefore
    always row i % CHUNK of a matrix product with CHUNK rows. Rows without a frame are zero.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._log_mel, self._spec = LogMel(spec), spec
        self._rest = np.zeros(0, np.float32)
        self._row = 0  # Row of the next frame in the matrix product.

    def push(self, samples: Floats) -> Floats:
        """Return the frames that `samples` completes; shape = (frames, n_mels)."""
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
