"""What real microphones do to sound: gain, band limits, tilt, noise, clipping and codecs."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import soundfile

from distill.scenes.noise import RATE
from edge.features import Floats


@dataclass(frozen=True)
class DeviceSpec:
    """How recordings differ; pairs are the ends of uniform distributions."""

    level_db: tuple[float, float] = (-42.0, -12.0)  # of a recording, re full scale
    tilt_db: tuple[float, float] = (-3.0, 3.0)  # per octave around 1 kHz, at most +-18 dB in all
    high_hz: tuple[float, float] = (3500.0, 16_000.0)  # of the low-pass
    low_hz: tuple[float, float] = (20.0, 200.0)  # of the high-pass
    noise_db: tuple[float, float] | None = (-90.0, -60.0)  # of the electronics, re full scale
    clip_share: float = 0.05  # of recordings that are driven into clipping
    clip_db: tuple[float, float] = (1.0, 6.0)  # by which they are
    codec_share: float = 0.06  # of recordings that went through a codec
    codecs: tuple[tuple[str, str], ...] = (("OGG", "VORBIS"), ("WAV", "ULAW"), ("WAV", "GSM610"))


def through_device(rng: np.random.Generator, audio: Floats, spec: DeviceSpec) -> Floats:
    """`audio` as a microphone would give it, within full scale."""
    audio = _coloured(rng, audio, spec)
    rms = float(np.sqrt((audio**2).mean())) + 1e-9
    peak = float(np.abs(audio).max()) + 1e-9
    gain = min(10.0 ** (rng.uniform(*spec.level_db) / 20.0) / rms, 0.98 / peak)
    if rng.random() < spec.clip_share:
        gain = 10.0 ** (rng.uniform(*spec.clip_db) / 20.0) / peak
    audio = audio * np.float32(gain)
    if spec.noise_db is not None:
        noise = rng.standard_normal(len(audio), dtype=np.float32)
        audio += noise * np.float32(10.0 ** (rng.uniform(*spec.noise_db) / 20.0))
    audio = np.clip(audio, -1.0, 1.0)
    if rng.random() < spec.codec_share:
        audio = _coded(audio, *spec.codecs[int(rng.integers(len(spec.codecs)))])
    return audio


def _coloured(rng: np.random.Generator, audio: Floats, spec: DeviceSpec) -> Floats:
    """`audio` within the band and with the tilt of a device."""
    freqs = np.linspace(0.0, RATE / 2, 257, dtype=np.float32)  # it is smooth: 257 points do
    octaves = np.log2(np.maximum(freqs, 30.0) / 1000.0)
    gain_db = np.clip(rng.uniform(*spec.tilt_db) * octaves, -18.0, 18.0)
    high = np.exp(rng.uniform(*np.log(spec.high_hz)))
    low = np.exp(rng.uniform(*np.log(spec.low_hz)))
    response = 10.0 ** (gain_db / 20.0)
    response /= np.sqrt(1.0 + (freqs / high) ** 8) * np.sqrt(1.0 + (low / (freqs + 1.0)) ** 4)
    spectrum = np.fft.rfft(audio)
    at = np.linspace(0.0, 256.0, len(spectrum), dtype=np.float32)
    fine = np.interp(at, np.arange(257), response).astype(np.float32)
    return np.fft.irfft(spectrum * fine, len(audio)).astype(np.float32)


def _coded(audio: Floats, container: str, codec: str) -> Floats:
    """`audio` after a codec; telephone codecs work at 8 kHz."""
    step = RATE // 8000 if codec in ("ULAW", "GSM610") else 1
    samples = audio if step == 1 else audio[: len(audio) // step * step].reshape(-1, step).mean(1)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE // step, subtype=codec, format=container)
    buffer.seek(0)
    coded, _ = soundfile.read(buffer, dtype="float32")
    if step > 1:
        coded = np.interp(np.arange(len(audio)) / step, np.arange(len(coded)), coded)
    out = np.zeros(len(audio), np.float32)
    out[: len(coded)] = coded[: len(audio)]
    return np.clip(out, -1.0, 1.0)
