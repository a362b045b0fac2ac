"""Rebuild sample.ogg from the sounds in Debian packages that sample.csv names.

Each row of the recipe is one event: an excerpt of one file of one package, placed in the sample
once or several times. The packages are downloaded and unpacked into a folder, never installed.
Needs Debian 12 (apt-get, dpkg), 330 MB of downloads, and no root.

    python examples/make_sample.py --cache ~/.cache/aac-stream-sample
"""

from __future__ import annotations

import argparse
import csv
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

HERE = Path(__file__).resolve().parent
SAMPLE_RATE = 32_000
TAIL_S = 1.5  # room tone after the last event
ROOM_TONE_DBFS = -65.0
OGG_SERIAL = 1  # the encoder draws it at random; a fixed one makes the file reproducible

Audio = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Event:
    """One row of the recipe; times in seconds."""

    start: float
    end: float
    package: str
    version: str
    path: str
    source_start: float
    source_end: float
    repeat_at: tuple[float, ...]  # where the excerpt starts, counted from `start`
    fade: float  # at both ends of each excerpt
    gain_db: float


def read_recipe(path: Path) -> list[Event]:
    with open(path, newline="", encoding="utf-8") as file:
        return [
            Event(
                start=float(row["start_s"]),
                end=float(row["end_s"]),
                package=row["package"],
                version=row["version"],
                path=row["path"],
                source_start=float(row["source_start_s"]),
                source_end=float(row["source_end_s"]),
                repeat_at=tuple(float(time) for time in row["repeat_at_s"].split()),
                fade=float(row["fade_s"]),
                gain_db=float(row["gain_db"]),
            )
            for row in csv.DictReader(file)
        ]


def unpack(package: str, version: str, cache: Path) -> Path:
    """The folder that holds the package's files, downloaded unless `cache` has it."""
    folder = cache / f"{package}_{version.replace(':', '%3a')}"
    if not folder.is_dir():
        print(f"getting {package} {version}", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            command = ["apt-get", "download", "-q", f"{package}={version}"]
            subprocess.run(command, cwd=scratch, check=True, capture_output=True, text=True)
            (archive,) = Path(scratch).glob("*.deb")
            files = Path(scratch) / "files"
            subprocess.run(
                ["dpkg", "-x", archive, files], check=True, capture_output=True, text=True
            )
            files.rename(folder)
    return folder


def excerpt(event: Event, file: Path) -> Audio:
    """The event's excerpt: mono, at the sample's rate, faded and at its level."""
    audio, rate = soundfile.read(file, dtype="float32", always_2d=True)
    mono = soxr.resample(audio.mean(axis=1), rate, SAMPLE_RATE, quality="VHQ")
    begin, end = (round(time * SAMPLE_RATE) for time in (event.source_start, event.source_end))
    part: Audio = mono[begin:end] * np.float32(10.0 ** (event.gain_db / 20.0))
    ramp = np.linspace(0.0, 1.0, round(event.fade * SAMPLE_RATE), dtype=np.float32)
    part[: ramp.size] *= ramp
    part[part.size - ramp.size :] *= ramp[::-1]
    return part


def room_tone(samples: int) -> Audio:
    """Quiet noise, falling by 3 dB per octave, the same at every call."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(samples))
    frequency = np.fft.rfftfreq(samples, 1.0 / SAMPLE_RATE)
    noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(frequency, 50.0)), samples)
    noise *= 10.0 ** (ROOM_TONE_DBFS / 20.0) / np.sqrt(np.mean(noise**2))
    return noise.astype(np.float32)


def mix(events: list[Event], cache: Path) -> Audio:
    sample = room_tone(round((max(event.end for event in events) + TAIL_S) * SAMPLE_RATE))
    for event in events:
        part = excerpt(event, unpack(event.package, event.version, cache) / event.path)
        for time in event.repeat_at:
            begin = round((event.start + time) * SAMPLE_RATE)
            place = sample[begin : round(event.end * SAMPLE_RATE)][: part.size]
            place += part[: place.size]
    return sample


def write_ogg(path: Path, audio: Audio) -> None:
    """Ogg Vorbis with a fixed stream serial, so that equal audio makes equal files."""
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, "VORBIS", format="OGG") as file:
        for begin in range(0, audio.size, SAMPLE_RATE):  # libsndfile crashes on long writes
            file.write(audio[begin : begin + SAMPLE_RATE])
    # page by page: serial at byte 14, checksum (a bit-mirrored CRC-32) at 22, sizes from 27
    mirror = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
    stream, begin = bytearray(path.read_bytes()), 0
    while begin < len(stream):
        sizes = stream[begin + 27 : begin + 27 + stream[begin + 26]]
        end = begin + 27 + len(sizes) + sum(sizes)
        struct.pack_into("<I", stream, begin + 14, OGG_SERIAL)
        struct.pack_into("<I", stream, begin + 22, 0)
        crc = zlib.crc32(stream[begin:end].translate(mirror), 0xFFFFFFFF) ^ 0xFFFFFFFF
        struct.pack_into("<I", stream, begin + 22, int(f"{crc:032b}"[::-1], 2))
        begin = end
    path.write_bytes(stream)


def main() -> int:
    parser = argparse.ArgumentParser(description="Rebuild sample.ogg from Debian packages.")
    parser.add_argument("--output", type=Path, default=HERE / "sample.ogg")
    parser.add_argument("--cache", type=Path, help="keep the unpacked packages in this folder")
    options = parser.parse_args()
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        print("make_sample.py needs apt-get and dpkg: run it on Debian 12.", file=sys.stderr)
        return 2
    try:
        with tempfile.TemporaryDirectory() as scratch:
            cache: Path = options.cache or Path(scratch)
            cache.mkdir(parents=True, exist_ok=True)
            sample = mix(read_recipe(HERE / "sample.csv"), cache)
    except subprocess.CalledProcessError as error:
        print(
            f"{error}\n{error.stderr}Is this Debian 12, after an apt-get update?", file=sys.stderr
        )
        return 1
    write_ogg(options.output, sample)
    print(f"{options.output}: {sample.size / SAMPLE_RATE:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
