"""Read every container damaged in every way: all audio in it, and one line for what is missing."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge.audio import file as sources
from edge.audio.clip import read_clip
from edge.audio.file import FileSource
from edge.errors import AudioError
from tests.helpers import aac_stream

RATE = 16_000
FRAMES = 2 * RATE
NOISE = np.random.default_rng(0).normal(0.0, 0.1, FRAMES).astype(np.float32)
KINDS: dict[str, dict[str, str]] = {
    "wav": {},
    "float.wav": {"subtype": "FLOAT"},
    "24.wav": {"subtype": "PCM_24"},
    "adpcm.wav": {"subtype": "MS_ADPCM"},
    "ulaw.wav": {"subtype": "ULAW"},
    "wavex.wav": {"format": "WAVEX"},
    "rf64": {"format": "RF64"},
    "w64": {},
    "aiff": {},
    "float.aiff": {"subtype": "FLOAT"},
    "au": {},
    "caf": {},
    "flac": {},
    "ogg": {},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "mp3": {},
    "vbr.mp3": {"bitrate_mode": "VARIABLE"},
}
# The length of the audio in the header: a mark before it, bytes from there to it, and its format.
LENGTHS = {
    "wav": (b"data", 4, "<I"),
    "rf64": (b"ds64", 16, "<Q"),
    "w64": (b"data\xf3\xac", 16, "<Q"),
    "aiff": (b"SSND", 4, ">I"),
    "au": (b".snd", 8, ">I"),
    "caf": (b"data", 4, ">q"),
    "flac": (b"fLaC", 18, ">Q"),
    "mp3": (b"Xing", 8, ">I"),
}


def made(kind: str, folder: Path, rate: int = RATE) -> bytes:
    path = folder / f"made.{kind.rsplit('.')[-1]}"
    soundfile.write(path, NOISE, rate, **KINDS[kind])
    return path.read_bytes()


def lying(kind: str, data: bytes, length: int) -> bytes:
    mark, offset, layout = LENGTHS[kind.rsplit(".")[-1]]
    at = (data.find(b"Info") if mark == b"Xing" and mark not in data else data.index(mark)) + offset
    changed = bytearray(data)
    if kind == "flac":  # the length is the lower 36 bits
        (before,) = struct.unpack_from(layout, data, at)
        length |= before >> 36 << 36
    struct.pack_into(layout, changed, at, length)
    return bytes(changed)


def read(folder: Path, data: bytes, suffix: str = "wav") -> tuple[np.ndarray, str]:
    """The samples of a file that holds `data`, and what is said at its end."""
    path = folder / f"read.{suffix}"
    path.write_bytes(data)
    os.utime(path, (0, 0))  # nobody writes it any more
    source, said = FileSource(path, fast=True), ""
    blocks = [np.zeros((0, 1), np.float32)]
    try:
        for block in source.blocks():
            blocks.append(block.samples)
    except AudioError as error:
        said = str(error)
    finally:
        source.close()
    return np.concatenate([block[:, 0] for block in blocks]), said


def check_whole(kind: str, samples: np.ndarray, times: int = 1) -> None:
    lossy = kind.endswith(("mp3", "adpcm.wav"))  # these pad
    assert len(samples) == pytest.approx(times * FRAMES, abs=1700 * times if lossy else 0)
    # All of it sounds, and nothing but that: a header that is played is loud.
    power = np.square(samples[: times * FRAMES // 100 * 100]).reshape(-1, FRAMES // 100).mean(1)
    assert np.abs(samples).max() < 0.7
    assert np.sqrt(np.median(power)) == pytest.approx(0.1, rel=0.4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file(tmp_path: Path, kind: str) -> None:
    samples, said = read(tmp_path, made(kind, tmp_path))
    check_whole(kind, samples)
    assert said == ""


@pytest.mark.parametrize("kind", KINDS)
def test_concatenated_files_are_read_to_the_end(tmp_path: Path, kind: str) -> None:
    data = made(kind, tmp_path)
    samples, said = read(tmp_path, 3 * data)
    check_whole(kind, samples, times=3)
    assert said == ""


def test_files_of_several_kinds_and_rates_are_read_to_the_end(tmp_path: Path) -> None:
    kinds = ["wav", "mp3", "ogg", "opus", "aiff", "rf64", "w64", "au"]
    data = b"".join(made(kind, tmp_path) for kind in kinds) + made("flac", tmp_path, rate=8000)
    samples, said = read(tmp_path, data)
    assert said == ""
    assert len(samples) == pytest.approx((len(kinds) + 2) * FRAMES, abs=2000)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("percent", [30, 66, 97])
def test_a_file_that_is_cut_off(tmp_path: Path, kind: str, percent: int) -> None:
    data = made(kind, tmp_path)
    if kind in ("ogg", "opus") and percent == 30:  # no page of audio is whole
        with pytest.raises(AudioError, match=r"holds no audio|cannot be read"):
            read(tmp_path, data[: len(data) * percent // 100])
        return
    samples, said = read(tmp_path, data[: len(data) * percent // 100])
    assert "the file is incomplete" in said
    assert said.count("\n") == 0
    assert f"ends after {len(samples) / RATE:.1f} s" in said
    page_s = 1.1  # what an Ogg file writes at once, and a FLAC 0.26 s
    assert FRAMES * percent / 100 - page_s * RATE < len(samples) <= FRAMES * (percent + 2) / 100


@pytest.mark.parametrize("kind", [k for k in KINDS if not k.endswith(("ogg", "opus", "caf"))])
@pytest.mark.parametrize("length", [0, 10])
def test_a_header_that_states_too_little(tmp_path: Path, kind: str, length: int) -> None:
    """As a recorder that was killed leaves it, or one that wrote it once and then went on."""
    data = lying(kind, made(kind, tmp_path), length)
    samples, said = read(tmp_path, data)
    check_whole(kind, samples)
    assert said == ""


@pytest.mark.parametrize("kind", [k for k in KINDS if not k.endswith(("ogg", "opus"))])
def test_a_header_that_states_too_much(tmp_path: Path, kind: str) -> None:
    samples, said = read(tmp_path, lying(kind, made(kind, tmp_path), 9_000_000))
    check_whole(kind, samples)
    assert "before its header says; the file is incomplete" in said


@pytest.mark.parametrize(
    ("kind", "length"),
    [
        *[("wav", 2**32 - 1), ("wav", 2**31 - 1), ("w64", 2**63 - 1), ("au", 2**32 - 1)],
        *[("aiff", 0x7F00_0000), ("rf64", 2**64 - 1), ("caf", 0), ("caf", -1)],
    ],
)
def test_a_header_that_says_that_the_length_is_not_known(
    tmp_path: Path, kind: str, length: int
) -> None:
    samples, said = read(tmp_path, lying(kind, made(kind, tmp_path), length))
    check_whole(kind, samples)
    assert said == ""


def test_an_mp3_without_a_length_whose_bit_rate_falls(tmp_path: Path) -> None:
    """A decoder that guesses from the first frames takes half of it for all."""
    path = tmp_path / "a.mp3"
    soundfile.write(path, np.r_[NOISE, np.zeros(FRAMES)], RATE, bitrate_mode="VARIABLE")
    data = path.read_bytes()
    samples, said = read(tmp_path, data[data.index(data[:2], 2) :])
    assert said == ""
    assert len(samples) == pytest.approx(2 * FRAMES, abs=2000)


def test_an_ogg_without_the_mark_of_its_end(tmp_path: Path) -> None:
    data = made("ogg", tmp_path)
    samples, said = read(tmp_path, data[: data.rindex(b"OggS")])
    assert len(samples) > FRAMES // 3
    assert "without the mark of its end; the file is incomplete" in said


@pytest.mark.parametrize("kind", ["flac", "mp3", "ogg", "opus"])
def test_a_damaged_part_ends_nothing(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"long.{kind}"
    soundfile.write(path, np.tile(NOISE, 4), RATE, **KINDS[kind])
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = b"\x55" * 300
    samples, said = read(tmp_path, bytes(data))
    assert "damaged" in said
    assert len(samples) > 2.9 * FRAMES
    if kind == "flac":  # its frames are numbered, so what follows keeps its time
        assert len(samples) == 4 * FRAMES
        np.testing.assert_allclose(samples[-RATE:], NOISE[-RATE:], atol=1e-4)


@pytest.mark.parametrize(
    ("rate", "channels", "place"), [(2_000_000_000, 1, 0), (999, 1, 0), (RATE, 65, 0), (999, 1, 1)]
)
def test_a_rate_or_channels_that_no_audio_has_are_one_line(
    tmp_path: Path, rate: int, channels: int, place: int
) -> None:
    """A block of a quarter second would not fit into memory."""
    data = made("wav", tmp_path)
    changed = bytearray(data)
    struct.pack_into("<HI", changed, 22, channels, rate)
    if place == 0:
        with pytest.raises(AudioError, match=f"states {rate} Hz and {channels} channels; only"):
            read(tmp_path, bytes(changed))
    else:
        samples, said = read(tmp_path, data + changed)
        check_whole("wav", samples)
        assert "cannot be read as audio from 2.0 s on" in said


def test_values_that_are_no_numbers_are_silence_and_told(tmp_path: Path) -> None:
    path = tmp_path / "nan.wav"
    soundfile.write(path, np.r_[NOISE, np.nan, NOISE], RATE, subtype="FLOAT")
    samples, said = read(tmp_path, path.read_bytes())
    assert len(samples) == 2 * FRAMES + 1
    assert np.isfinite(samples).all()
    assert "no numbers (NaN) at 2.00 s" in said


def test_a_broken_file_is_captioned_and_ends_with_2(tmp_path: Path) -> None:
    path = tmp_path / "a.w64"
    data = made("w64", tmp_path)
    path.write_bytes(data[: len(data) * 3 // 4])
    os.utime(path, (0, 0))
    done = aac_stream("--device", str(path), "--fast", "--format", "jsonl")
    assert done.returncode == 2
    assert "1.5 s, before its header says" in done.stderr
    assert '"end_s": 1.' in done.stdout


def test_a_clip_is_what_the_stream_gives(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(2 * made("flac", tmp_path))
    assert len(read_clip(path, RATE)) == 2 * FRAMES
    path.write_bytes(made("flac", tmp_path)[:-9000])
    with pytest.raises(AudioError, match="incomplete"):
        read_clip(path, RATE)


@pytest.mark.parametrize("kind", ["wav", "w64", "aiff", "au", "caf", "flac", "ogg", "mp3"])
def test_a_file_that_is_still_recorded_is_followed(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "GROWS_S", 1.0)
    monkeypatch.setattr(sources, "GROWS_STEP_S", 0.01)
    data = made(kind, tmp_path)
    if kind in ("wav", "w64", "aiff", "au", "caf"):
        data = lying(kind, data, -1 if kind == "caf" else 0)
    elif kind == "flac":
        data = lying(kind, data, 0)
    path = tmp_path / f"growing.{kind}"
    cuts = [0, len(data) * 3 // 5, len(data) * 4 // 5, len(data)]
    path.write_bytes(data[: cuts[1]])
    source = FileSource(path, fast=True)
    samples, pieces = [], [data[cuts[1] : cuts[2]], data[cuts[2] :]]
    for block in source.blocks():
        if len(block.samples):
            samples.append(block.samples)
        elif pieces:
            with open(path, "ab") as file:
                file.write(pieces.pop(0))
    got = np.concatenate(samples)[:, 0]
    assert len(got) == pytest.approx(FRAMES, abs=1700 if kind == "mp3" else 0)
