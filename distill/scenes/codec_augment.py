"""Codecs of baby monitors, cameras, telephones and calls, through libsndfile."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr

from distill.scenes.noise import RATE
from edge.inference.features import Floats


@dataclass(frozen=True)
class Codec:
    """A codec at the sample rate that devices run it at."""

    container: str  # libsndfile's names
    subtype: str
    rate: int  # Hz
    compression: tuple[float, float] | None = None  # Range of libsndfile's level; 1 is smallest.


CODECS = (
    Codec("OGG", "VORBIS", 32_000, (0.5, 1.0)),
    Codec("OGG", "OPUS", 24_000, (0.7, 0.98)),
    Codec("OGG", "OPUS", 16_000, (0.7, 0.98)),
    Codec("MP3", "MPEG_LAYER_III", 32_000, (0.6, 0.98)),
    Codec("WAV", "IMA_ADPCM", 16_000),
    Codec("WAV", "ULAW", 16_000),
    Codec("WAV", "ULAW", 8_000),
    Codec("WAV", "GSM610", 8_000),
)


def coded(rng: np.random.Generator, audio: Floats, codec: Codec) -> Floats:
    """Return `audio` at `RATE` after `codec`, of the same length and without a delay."""
    samples = audio if codec.rate == RATE else soxr.resample(audio, RATE, codec.rate, "LQ")
    level = None if codec.compression is None else float(rng.uniform(*codec.compression))
    buffer = io.BytesIO()
    soundfile.write(
        buffer,
        samples,
        codec.rate,
        subtype=codec.subtype,
        format=codec.container,
        compression_level=level,
    )
    buffer.seek(0)
    heard, _ = soundfile.read(buffer, dtype="float32")
    if codec.rate != RATE:
        heard = soxr.resample(heard, codec.rate, RATE, "LQ")
    out = np.zeros(len(audio), np.float32)
    out[: len(heard)] = heard[: len(audio)]
    return np.clip(out, -1.0, 1.0)
