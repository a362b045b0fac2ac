"""Cut or changed audio files give all audio that is there, or an error of one line."""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge.audio.file import FileSource
from edge.audio.wav_pipe import wav_header
from edge.errors import AacStreamError
from tests.test_damaged_files import KINDS, LENGTHS

RATE = 8000  # Hz
FRAMES = 3 * RATE // 2
NOISE = np.random.default_rng(0).normal(0.0, 0.1, FRAMES).astype(np.float32)
# Bytes of a frame in formats that store each frame by itself; their audio ends the file.
FRAME_BYTES = {
    **{"wav": 2, "float.wav": 4, "24.wav": 3, "ulaw.wav": 1, "wavex.wav": 2, "rf64": 2, "w64": 2},
    **{"aiff": 2, "float.aiff": 4, "au": 2, "caf": 2},
}
FLAC_BLOCK = 4096  # frames that libsndfile encodes at once
HEADER = 200  # bytes; they hold the headers of every kind, and some audio
MOST_PADDING = 12  # bytes
FLIPS, CHANGES = 120, 180  # damaged files of each kind
ROWS = 400  # files of several recordings


@dataclass(frozen=True)
class Made:
    """An audio file, and the samples that a decoder finds in it."""

    data: bytes
    samples: np.ndarray


@pytest.fixture(scope="module")
def made() -> dict[str, Made]:
    """A file of each kind."""
    files = {}
    for kind, options in KINDS.items():
        file = io.BytesIO()
        suffix = kind.rsplit(".")[-1]
        soundfile.write(file, NOISE, RATE, **{"format": suffix, **options})
        data = file.getvalue()
        files[kind] = Made(data, soundfile.read(io.BytesIO(data), dtype="float32")[0])
    return files


def read(path: Path, data: bytes) -> tuple[np.ndarray, str]:
    """Return the first channel of the file `data`, and the error; any other exception passes."""
    path.write_bytes(data)
    os.utime(path, (0, 0))  # No recorder still writes it.
    samples, error, source = [np.zeros(0, np.float32)], "", None
    try:
        source = FileSource(path, fast=True)
        for block in source.blocks():
            samples.append(block.samples[:, 0])
    except AacStreamError as reason:
        error = str(reason)
        assert error.isprintable(), error
    finally:
        if source is not None:
            source.close()
    found = np.concatenate(samples)
    assert len(found) or error
    assert np.isfinite(found).all()
    return found, error


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_at_any_percent_keeps_all_audio_before_the_cut(
    tmp_path: Path, made: dict[str, Made], kind: str
) -> None:
    file, longest = made[kind], 0
    for percent in range(100):
        data = file.data[: len(file.data) * percent // 100]
        samples, error = read(tmp_path / "cut", data)
        assert error, percent
        if kind in FRAME_BYTES:
            audio = len(file.data) - FRAMES * FRAME_BYTES[kind]
            there = max(0, len(data) - audio) // FRAME_BYTES[kind]
            assert len(samples) == min(there, FRAMES), percent
            np.testing.assert_array_equal(samples, file.samples[: len(samples)])
        else:  # A compressed block may lack its end, so only the trend is known.
            assert longest <= len(samples) <= len(file.samples) + FLAC_BLOCK, percent
            longest = len(samples)
        if kind == "flac":
            assert len(samples) >= FRAMES * percent // 100 - FLAC_BLOCK - FLAC_BLOCK // 8
            np.testing.assert_array_equal(samples, file.samples[: len(samples)])


@pytest.mark.parametrize("kind", KINDS)
def test_changed_bytes_are_audio_or_one_line(
    tmp_path: Path, made: dict[str, Made], kind: str
) -> None:
    """One bit of the headers, then some bytes of the headers or of the whole file."""
    data, rng = made[kind].data, np.random.default_rng(1)
    for number in range(FLIPS + CHANGES):
        changed = bytearray(data)
        if number < FLIPS:
            changed[rng.integers(HEADER)] ^= 1 << int(rng.integers(8))
        else:
            end = HEADER if number % 2 else len(data)
            for at in rng.integers(end, size=rng.integers(1, 5)):
                changed[at] = rng.integers(256)
        read(tmp_path / "changed", bytes(changed))


@pytest.mark.parametrize("kind", [kind for kind in LENGTHS if kind in FRAME_BYTES])
def test_a_wrong_length_of_any_bit_hides_no_audio(
    tmp_path: Path, made: dict[str, Made], kind: str
) -> None:
    file = made[kind]
    mark, offset, layout = LENGTHS[kind]
    at = file.data.index(mark) + offset
    for bit in range(8 * struct.calcsize(layout)):
        changed = bytearray(file.data)
        changed[at + bit // 8] ^= 1 << bit % 8
        samples, _ = read(tmp_path / "changed", bytes(changed))
        # Fewer bytes at the end than a chunk's header has may be padding.
        assert len(samples) >= FRAMES - MOST_PADDING // FRAME_BYTES[kind], bit
        there = min(FRAMES, len(samples))
        np.testing.assert_array_equal(samples[:there], file.samples[:there])


def test_recordings_in_a_row_with_random_parts_are_audio_or_one_line(
    tmp_path: Path, made: dict[str, Made]
) -> None:
    rng = np.random.default_rng(2)
    kinds = list(made)
    for _ in range(ROWS):
        parts = [made[kinds[int(rng.integers(len(kinds)))]].data for _ in range(3)]
        data = bytearray(b"".join(parts))
        at = int(rng.integers(len(data)))
        size = int(rng.integers(600))
        data[at : at + size] = rng.bytes(int(rng.integers(600)))
        read(tmp_path / "row", bytes(data))


def test_random_bytes_after_each_magic_number_are_audio_or_one_line(
    tmp_path: Path, made: dict[str, Made]
) -> None:
    rng = np.random.default_rng(3)
    heads = [made[kind].data[:count] for kind in made for count in (4, 12, 16, 28, 48)]
    for head in heads:
        for _ in range(8):
            read(tmp_path / "random", head + rng.bytes(int(rng.integers(2000))))


def test_changed_headers_of_a_piped_wav_are_a_header_or_refused(made: dict[str, Made]) -> None:
    rng = np.random.default_rng(4)
    for kind in ("wav", "float.wav", "24.wav", "wavex.wav"):
        head = made[kind].data[:HEADER]
        for _ in range(200):
            changed = bytearray(head)
            for at in rng.integers(12, 100, size=rng.integers(1, 4)):
                changed[at] = rng.integers(256)
            try:
                header = wav_header(bytes(changed), ended=True)
            except ValueError:  # The caller takes it for a file that ffmpeg may read.
                continue
            assert header is not None
            assert 1000 <= header.rate <= 768_000
            assert 1 <= header.channels <= 64
