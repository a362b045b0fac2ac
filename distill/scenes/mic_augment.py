"""Microphones: band limits, tilt, gain, noise, gain control, clipping, dropouts and codecs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distill.scenes.codec_augment import CODECS, Codec, coded
from distill.scenes.noise import RATE
from edge.inference.features import Floats

BLOCK = RATE // 100  # Samples per step of the automatic gain control: 10 ms.


@dataclass(frozen=True)
class DeviceSpec:
    """How recordings differ; pairs are the ends of uniform distributions."""

    level_db: tuple[float, float] = (-42.0, -12.0)  # RMS of a recording re full scale.
    tilt_db: tuple[float, float] = (-3.0, 3.0)  # Per octave around 1 kHz, at most +-18 dB in all.
    high_hz: tuple[float, float] = (3500.0, 16_000.0)  # Of the low-pass; uniform in its logarithm.
    low_hz: tuple[float, float] = (20.0, 200.0)  # Of the high-pass; uniform in its logarithm.
    noise_db: tuple[float, float] | None = (-90.0, -60.0)  # Of the electronics re full scale.
    agc_share: float = 0.15  # Of recordings with automatic gain control.
    agc_strength: tuple[float, float] = (0.3, 0.9)  # 1 levels everything out.
    agc_release_s: tuple[float, float] = (0.2, 2.0)
    agc_most_db: float = 20.0  # Largest gain above that of the mean level.
    clip_share: float = 0.05  # Of recordings that are driven into clipping.
    clip_db: tuple[float, float] = (1.0, 6.0)  # By so much.
    soft_share: float = 0.5  # Of these, with rounded peaks.
    dropout_share: float = 0.02  # Of recordings with one to three gaps, as a radio link makes them.
    dropout_s: tuple[float, float] = (0.01, 0.06)
    codec_share: float = 0.12  # Of recordings that went through a codec.
    codecs: tuple[Codec, ...] = CODECS


@dataclass(frozen=True)
class Device:
    """One microphone and what comes behind it."""

    tilt_db: float
    high_hz: float
    low_hz: float
    agc: bool  # Automatic gain control: levels in the recording are not those of the sounds.
    codec: Codec | None

    def response(self, freqs: Floats) -> Floats:
        """Return the amplitude at `freqs` in Hz."""
        octaves = np.log2(np.maximum(freqs, 30.0) / 1000.0)
        amplitude = 10.0 ** (np.clip(self.tilt_db * octaves, -18.0, 18.0) / 20.0)
        amplitude /= np.sqrt(1.0 + (freqs / self.high_hz) ** 8)
        return (amplitude / np.sqrt(1.0 + (self.low_hz / (freqs + 1.0)) ** 4)).astype(np.float32)

    def audible(self, freqs: Floats) -> Floats:
        """Return the amplitude at `freqs` in Hz after the codec too, which has a lower rate."""
        top = RATE if self.codec is None else 0.45 * self.codec.rate
        return np.where(freqs < top, self.response(freqs), 0.0).astype(np.float32)


def draw_device(rng: np.random.Generator, spec: DeviceSpec) -> Device:
    """Draw the microphone of a scene."""
    through = rng.random() < spec.codec_share
    return Device(
        tilt_db=rng.uniform(*spec.tilt_db),
        high_hz=float(np.exp(rng.uniform(*np.log(spec.high_hz)))),
        low_hz=float(np.exp(rng.uniform(*np.log(spec.low_hz)))),
        agc=rng.random() < spec.agc_share,
        codec=spec.codecs[int(rng.integers(len(spec.codecs)))] if through else None,
    )


def through_device(
    rng: np.random.Generator, audio: Floats, spec: DeviceSpec, device: Device
) -> Floats:
    """Return `audio` at `RATE` as `device` would give it, within full scale."""
    audio = _coloured(audio, device)
    rms = float(np.sqrt((audio**2).mean())) + 1e-9
    peak = float(np.abs(audio).max()) + 1e-9
    gain = min(10.0 ** (rng.uniform(*spec.level_db) / 20.0) / rms, 0.98 / peak)
    driven = rng.random() < spec.clip_share
    if driven:
        gain = 10.0 ** (rng.uniform(*spec.clip_db) / 20.0) / peak
    audio = audio * np.float32(gain)
    if spec.noise_db is not None:
        noise = rng.standard_normal(len(audio), dtype=np.float32)
        audio += noise * np.float32(10.0 ** (rng.uniform(*spec.noise_db) / 20.0))
    if device.agc:
        audio = _levelled(rng, audio, spec)
    if driven and rng.random() < spec.soft_share:
        audio = np.tanh(audio)
    audio = np.clip(audio, -1.0, 1.0)
    if rng.random() < spec.dropout_share:
        _drop(rng, audio, spec)
    return audio if device.codec is None else coded(rng, audio, device.codec)


def _coloured(audio: Floats, device: Device) -> Floats:
    """Return `audio` within the band and with the tilt of `device`."""
    freqs = np.linspace(0.0, RATE / 2, 257, dtype=np.float32)  # It is smooth: 257 points do.
    response = device.response(freqs)
    spectrum = np.fft.rfft(audio)
    at = np.linspace(0.0, 256.0, len(spectrum), dtype=np.float32)
    fine = np.interp(at, np.arange(257), response).astype(np.float32)
    return np.fft.irfft(spectrum * fine, len(audio)).astype(np.float32)


def _levelled(rng: np.random.Generator, audio: Floats, spec: DeviceSpec) -> Floats:
    """Return `audio` after a control that turns loud parts down fast and quiet ones up slowly."""
    blocks = audio[: len(audio) // BLOCK * BLOCK].reshape(-1, BLOCK)
    levels = 10.0 * np.log10((blocks**2).mean(axis=1) + 1e-9)
    mean = 10.0 * np.log10((audio**2).mean() + 1e-9)
    strength = rng.uniform(*spec.agc_strength)
    wanted = np.minimum(strength * (mean - levels), spec.agc_most_db)
    attack, release = 1.0 / 3.0, BLOCK / RATE / rng.uniform(*spec.agc_release_s)
    gain, gains = float(np.median(wanted)), np.zeros(len(wanted))
    for i, target in enumerate(wanted):
        gain += (attack if target < gain else release) * (target - gain)
        gains[i] = gain
    at = (np.arange(len(gains)) + 0.5) * BLOCK
    fine = np.interp(np.arange(len(audio)), at, 10.0 ** (gains / 20.0))
    return audio * fine.astype(np.float32)


def _drop(rng: np.random.Generator, audio: Floats, spec: DeviceSpec) -> None:
    """Silence short gaps of `audio`, in place."""
    for _ in range(int(rng.integers(1, 4))):
        length = int(rng.uniform(*spec.dropout_s) * RATE)
        start = int(rng.integers(max(1, len(audio) - length)))
        audio[start : start + length] = 0.0
