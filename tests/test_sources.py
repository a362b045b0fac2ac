"""Files and pipes: formats, the clock, and bad input."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge.audio.file import FileSource
from edge.audio.pcm import PcmSource
from edge.errors import AudioError

TONE = (0.3 * np.sin(np.arange(16_000) / 5.0)).astype(np.float32)


def samples_of(source: FileSource | PcmSource) -> np.ndarray:
    # While a pipe has nothing to give, there are empty blocks of one channel.
    return np.concatenate([b.samples for b in source.blocks() if len(b.samples)])


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_each_format_is_read_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, TONE, 16_000)
    got = samples_of(FileSource(path, fast=True))
    assert abs(len(got) - 16_000) < 2500  # MP3 pads
    assert abs(np.abs(got).max() - 0.3) < 0.05


def test_a_file_keeps_to_its_clock(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, TONE, 16_000)
    began = time.monotonic()
    assert len(samples_of(FileSource(path, fast=False))) == 16_000
    assert time.monotonic() - began >= 0.99


def test_a_loop_that_was_busy_gets_what_was_heard_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.tile(TONE, 3), 16_000)
    blocks = FileSource(path, fast=False).blocks()
    next(blocks)
    time.sleep(1.0)
    assert len(next(blocks).samples) >= 16_000 * 0.9


@pytest.mark.parametrize("suffix", ["wav", "ogg", "mp3"])
def test_a_file_may_be_closed_at_any_time_by_any_thread(tmp_path: Path, suffix: str) -> None:
    """libsndfile crashes if a file is closed that another thread reads."""
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.tile(TONE, 20), 16_000)
    failed: list[Exception] = []

    def read(source: FileSource) -> None:
        try:
            for _ in source.blocks():
                pass
        except Exception as error:
            failed.append(error)

    for i in range(20):
        source = FileSource(path, fast=True, block_s=0.01)
        threads = [threading.Thread(target=read, args=(source,))]
        threads += [threading.Thread(target=source.close) for _ in range(2)]
        for thread in threads[: 1 + i % 3]:
            thread.start()
        source.close()
        for thread in threads[: 1 + i % 3]:
            thread.join(60)
    assert not failed


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    paths = {}
    for name, content in (("text", b"this is no audio" * 99), ("empty", b"")):
        paths[name] = folder / f"{name}.wav"
        paths[name].write_bytes(content)
    soundfile.write(folder / "none.wav", np.zeros(0, np.float32), 16_000)
    soundfile.write(folder / "whole.wav", TONE, 16_000, subtype="PCM_16")
    (folder / "cut.wav").write_bytes((folder / "whole.wav").read_bytes()[:9000])
    soundfile.write(folder / "whole.flac", np.tile(TONE, 20), 16_000)
    size = (folder / "whole.flac").stat().st_size
    (folder / "cut.flac").write_bytes((folder / "whole.flac").read_bytes()[: size // 2])
    soundfile.write(folder / "whole.mp3", TONE, 16_000)
    (folder / "cut.mp3").write_bytes((folder / "whole.mp3").read_bytes()[:-900])
    nan = TONE.copy()
    nan[8000] = np.nan
    soundfile.write(folder / "nan.wav", nan, 16_000, subtype="FLOAT")
    for path in folder.iterdir():
        os.utime(path, (0, 0))  # nobody writes them any more
    return {
        "text": (paths["text"], "cannot be read as audio; WAV, FLAC, OGG and MP3 are known"),
        "empty": (paths["empty"], "is empty"),
        "none": (folder / "none.wav", "holds no audio"),
        "missing": (folder / "missing.wav", "no such file"),
        "folder": (folder, "is a folder"),
        "cut wav": (folder / "cut.wav", "before its header says; the file is incomplete"),
        "cut flac": (folder / "cut.flac", "before its header says|is damaged after"),
        "cut mp3": (folder / "cut.mp3", "before its header says; the file is incomplete"),
        "nan": (folder / "nan.wav", r"\(NaN\) at 0.50 s"),
    }


@pytest.mark.parametrize(
    "kind", ["text", "empty", "none", "missing", "folder", "cut wav", "cut flac", "cut mp3", "nan"]
)
def test_a_bad_file_is_named_in_one_line(tmp_path: Path, kind: str) -> None:
    path, says = bad_files(tmp_path)[kind]
    with pytest.raises(AudioError, match=says) as caught:
        samples_of(FileSource(path, fast=True))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def whole_files_with_odd_headers(folder: Path) -> dict[str, Path]:
    """Files that programs in use write, whose headers do not say their length."""
    odd = folder / "odd.wav"  # its padding byte is left out
    soundfile.write(odd, TONE[:8001], 16_000, subtype="PCM_U8")
    odd.write_bytes(odd.read_bytes()[: 44 + 8001])
    streamed = folder / "streamed.wav"  # written into a pipe
    soundfile.write(streamed, TONE, 16_000)
    data = bytearray(streamed.read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    streamed.write_bytes(data)
    bare = folder / "bare.mp3"  # variable rate, and the frame with the length is gone
    quiet_then_loud = np.random.default_rng(0).normal(0.0, 0.1, 160_000)
    quiet_then_loud[:80_000] = 0.0
    soundfile.write(bare, quiet_then_loud, 16_000, bitrate_mode="VARIABLE")
    data = bytearray(bare.read_bytes())
    bare.write_bytes(data[data.index(data[:2], 2) :])
    assert soundfile.info(bare).frames > 200_000  # the estimate
    for path in (odd, streamed, bare):
        os.utime(path, (0, 0))  # nobody writes them any more
    return {"odd": odd, "streamed": streamed, "bare": bare}


@pytest.mark.parametrize(("kind", "frames"), [("odd", 8001), ("streamed", 0), ("bare", 160_000)])
def test_a_whole_file_is_not_called_incomplete(tmp_path: Path, kind: str, frames: int) -> None:
    path = whole_files_with_odd_headers(tmp_path)[kind]
    assert len(samples_of(FileSource(path, fast=True))) == pytest.approx(
        frames or len(TONE), abs=2000
    )


def pipe_with(
    data: bytes, rate: int, channels: int, fast: bool, channel: int | None = None
) -> PcmSource:
    reader, writer = os.pipe()

    def feed() -> None:
        with open(writer, "wb") as file:
            file.write(data)

    threading.Thread(target=feed, daemon=True).start()
    return PcmSource(open(reader, "rb"), rate, channels, fast, channel)


def test_a_pipe_gives_every_sample_however_long_it_is() -> None:
    """Thirty times what the ring holds: the pump must wait for the reader."""
    values = np.arange(1_200_000).astype("<i2")
    got = samples_of(pipe_with(values.tobytes(), 1000, 2, fast=True))
    np.testing.assert_array_equal(got, values.reshape(-1, 2) / np.float32(32768.0))


def test_a_pipe_keeps_to_the_clock() -> None:
    source = pipe_with((TONE * 32767).astype("<i2").tobytes() * 2, 16_000, 1, fast=False)
    began = time.monotonic()
    assert len(samples_of(source)) == 32_000
    assert time.monotonic() - began > 1.5


@pytest.mark.parametrize(
    ("data", "says"), [(b"", "held no audio"), (b"\0" * 4003, "check --channels")]
)
def test_a_bad_pipe_is_told(data: bytes, says: str) -> None:
    with pytest.raises(AudioError, match=says):
        samples_of(pipe_with(data, 16_000, 2, fast=True))


LEFT_RIGHT = np.stack([TONE, 0.5 * TONE], axis=1)


@pytest.mark.parametrize("channel", [1, 2])
def test_one_channel_is_listened_to(tmp_path: Path, channel: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, LEFT_RIGHT, 16_000, subtype="FLOAT")
    expected = LEFT_RIGHT[:, channel - 1 : channel]
    got = samples_of(FileSource(path, fast=True, channel=channel))
    np.testing.assert_array_equal(got, expected)
    pcm = (LEFT_RIGHT * 32767).astype("<i2").tobytes()
    got = samples_of(pipe_with(pcm, 16_000, 2, fast=True, channel=channel))
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_a_channel_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, LEFT_RIGHT, 16_000)
    with pytest.raises(AudioError, match=r"a\.wav: has 2 channels, so there is no channel 3"):
        FileSource(path, fast=True, channel=3)
    with pytest.raises(AudioError, match="standard input: has 1 channel, so there is no channel 2"):
        pipe_with(b"", 16_000, 1, fast=True, channel=2)
