"""Pipes: nothing of them is lost, and what they hold is recognised by its first bytes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge.audio.file import Source
from edge.audio.magic import container_of, is_text
from edge.audio.pcm import PcmSource
from edge.audio.pipes import Memory, PipeSource, named_pipe
from edge.audio.readable import wait_readable
from edge.audio.source_factory import open_recording, open_source
from edge.config import StreamConfig
from edge.errors import AudioError
from tests.helpers import ROOT, aac_stream, the_one_line
from tests.running import running, until

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg")
RATE = 22_050
NOISE = np.random.default_rng(1).normal(0.0, 0.1, (RATE, 2)).astype(np.float32)


def pipe_with(data: bytes, pieces: int = 1, owned: bool = True, **given: object) -> PipeSource:
    reader, writer = os.pipe()

    def feed() -> None:
        with contextlib.suppress(BrokenPipeError), open(writer, "wb", buffering=0) as file:
            step = max(1, len(data) // pieces)
            for at in range(0, len(data), step):
                file.write(data[at : at + step])

    threading.Thread(target=feed, daemon=True).start()
    settings = {"rate": 16_000, "channels": 1, "fast": True, "channel": None, **given}
    return PipeSource("standard input", open(reader, "rb"), owned=owned, **settings)  # type: ignore[arg-type]


def samples_of(source: Source) -> np.ndarray:
    try:
        return np.concatenate([b.samples for b in source.blocks() if len(b.samples)])
    finally:
        source.close()


def encoded(folder: Path, name: str, **given: str) -> bytes:
    soundfile.write(folder / name, NOISE, RATE, **given)
    return (folder / name).read_bytes()


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
@pytest.mark.parametrize("pieces", [1, 3000])
def test_wav_in_a_pipe(tmp_path: Path, subtype: str, form: str, pieces: int) -> None:
    source = pipe_with(encoded(tmp_path, "a.wav", subtype=subtype, format=form), pieces)
    got = samples_of(source)
    assert source.rate == RATE
    expected, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("length", [0, 2**31 - 1, 2**32 - 1])
def test_wav_in_a_pipe_whose_length_is_not_known(tmp_path: Path, length: int) -> None:
    data = bytearray(encoded(tmp_path, "a.wav", subtype="PCM_16"))
    data[40:44] = length.to_bytes(4, "little")
    assert len(samples_of(pipe_with(bytes(data)))) == RATE


def test_wav_in_a_pipe_that_breaks(tmp_path: Path) -> None:
    data = encoded(tmp_path, "a.wav", subtype="PCM_16")
    with pytest.raises(AudioError, match=r"ends after 0\.5 s, before its header says"):
        samples_of(pipe_with(data[: 44 + RATE * 2]))


@needs_ffmpeg
@pytest.mark.parametrize(
    "name", ["a.mp3", "a.flac", "a.ogg", "a.aiff", "a.au", "a.w64", "ulaw.wav"]
)
def test_other_containers_in_a_pipe(tmp_path: Path, name: str) -> None:
    given = {"subtype": "ULAW"} if name == "ulaw.wav" else {}
    source = pipe_with(encoded(tmp_path, name, **given), pieces=50)
    got = samples_of(source)
    assert source.rate == RATE
    assert got.shape[1] == 2
    assert len(got) == pytest.approx(RATE, abs=1500)  # MP3 pads
    assert np.std(got) == pytest.approx(0.1, rel=0.2)


@needs_ffmpeg
def test_a_video_in_a_pipe(tmp_path: Path) -> None:
    encoded(tmp_path, "a.wav")
    make = ["ffmpeg", "-loglevel", "error", "-i", str(tmp_path / "a.wav")]
    subprocess.run([*make, str(tmp_path / "a.mkv")], check=True, timeout=60)
    source = pipe_with((tmp_path / "a.mkv").read_bytes())
    assert len(samples_of(source)) == pytest.approx(RATE, abs=3000)


def test_without_ffmpeg_it_is_said_what_the_pipe_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(tmp_path, "a.flac")
    wav = encoded(tmp_path, "a.wav")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AudioError, match="standard input: holds FLAC, which needs ffmpeg"):
        samples_of(pipe_with(data))
    assert len(samples_of(pipe_with(wav))) == RATE


def test_raw_pcm_is_the_default() -> None:
    values = np.random.default_rng(2).integers(-9999, 9999, 50_000).astype("<i2")
    for first in (values[0], -1025, -1, 0):  # -1025 begins as an MP3 does
        values[0] = first
        got = samples_of(pipe_with(values.tobytes(), pieces=999))
        np.testing.assert_array_equal(got[:, 0], values / np.float32(32768.0))


def test_raw_pcm_is_taken_for_nothing_else() -> None:
    rng = np.random.default_rng(4)
    for _ in range(300):
        noise = (rng.normal(0.0, rng.uniform(10, 9000), 8192)).clip(-32768, 32767)
        data = noise.astype("<i2").tobytes()
        assert container_of(data) is None
        assert container_of(b"\xff\xfb\x90" + data) is None
        assert not is_text(data)


def test_a_text_is_not_played() -> None:
    page = b"<!DOCTYPE html>\n<html><head><title>Not found</title></head><body>404</body></html>"
    with pytest.raises(AudioError, match="standard input: holds text, not audio"):
        samples_of(pipe_with(20 * page))


def test_a_pipe_that_gives_nothing_lets_the_loop_live() -> None:
    reader, writer = os.pipe()
    source = PipeSource("standard input", open(reader, "rb"), 16_000, 1, True, None, owned=True)
    blocks = source.blocks()
    assert len(next(blocks).samples) == 0
    os.write(writer, b"\x01\x02" * 100)
    os.close(writer)
    assert sum(len(block.samples) for block in blocks) == 100
    source.close()
    source.close()


def test_a_fifo_waits_for_its_writer_and_gives_all(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    source = open_recording(tmp_path / "fifo", StreamConfig(fast=True))
    blocks = source.blocks()
    assert len(next(blocks).samples) == 0
    data = encoded(tmp_path, "a.wav", subtype="PCM_16")
    writer = threading.Thread(target=(tmp_path / "fifo").write_bytes, args=(data,))
    writer.start()
    assert sum(len(block.samples) for block in blocks) == RATE
    writer.join(60)
    source.close()


def test_an_mp3_through_a_process_substitution_keeps_its_times(tmp_path: Path) -> None:
    """Its first 64 kB were eaten: a recording of some seconds held nothing."""
    path = tmp_path / "a.wav"
    soundfile.write(path, np.tile(NOISE, (6, 1)), RATE)
    shell = f'"{sys.executable}" -m edge --fast --format jsonl --device <(cat "{path}")'
    done = subprocess.run(
        ["bash", "-c", shell], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done
    assert "6.0 s heard" in done.stderr


def test_stdin_by_its_path_is_stdin() -> None:
    data = (NOISE[:, 0] * 20_000).astype("<i2").tobytes()
    done = aac_stream(
        "--fast", "--format", "jsonl", "--rate", str(RATE), "--device", "/dev/stdin", stdin=data * 6
    )
    assert done.returncode == 0, done
    assert "6.0 s heard" in done.stderr


def test_a_wav_on_standard_input_is_captioned_at_its_rate(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.tile(NOISE, (6, 1)), RATE)
    data = (tmp_path / "a.wav").read_bytes()
    done = aac_stream("--fast", "--format", "jsonl", "--device", "-", stdin=data)
    assert done.returncode == 0, done
    assert f"standard input: holds WAV, at {RATE} Hz" in done.stderr
    assert "6.0 s heard" in done.stderr
    assert "lost" not in done.stderr


def test_a_pipe_behind_descriptor_1023_is_read_to_its_end() -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1300:
        pytest.skip("no more descriptors on this system")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1300), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        reader, writer = os.pipe()
        assert reader > 1023
        os.write(writer, b"\1\0" * 16_000)
        os.close(writer)
        with open(reader, "rb", buffering=0) as pipe:
            assert len(samples_of(PcmSource(pipe, 16_000, 1, fast=True))) == 16_000
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_where_there_is_no_poll_reads_block(monkeypatch: pytest.MonkeyPatch) -> None:
    import select

    monkeypatch.delattr(select, "poll")
    assert wait_readable(99_999, 0.0)
    got = samples_of(pipe_with(b"\1\0" * 5000))
    assert len(got) == 5000


def test_a_pipe_that_fails_is_told() -> None:
    class Broken(PcmSource):
        def _more(self, _: int) -> bytes | None:
            raise OSError(5, "Input/output error")

    reader, writer = os.pipe()
    os.close(writer)
    source = Broken(open(reader, "rb"), 16_000, 1, fast=True)
    with pytest.raises(AudioError, match="cannot be read any more"):
        samples_of(source)


def test_a_run_on_a_silent_pipe_ends_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with running("--device", str(tmp_path / "fifo")) as run:
        run.told("listening to")
        run.end(signal.SIGINT)
        assert run.process.returncode == 0


def lie_at(folder: Path) -> dict[str, tuple[str, str]]:
    """What is no file or pipe, and what is said of it."""
    server = socket.socket(socket.AF_UNIX)
    server.bind("socket.wav")  # its whole path may be too long
    server.close()
    (folder / "shut").mkdir()
    return {
        "folder": (str(folder), "is a folder, not an audio file"),
        "socket": (str(folder / "socket.wav"), "is a socket, not an audio file"),
        "device node": ("/dev/null", "is a device node, not an audio file"),
        "long name": ("x" * 300 + ".wav", "cannot be read (File name too long)"),
        "no user": ("~nosuchuser/x.wav", "there is no such user"),
        "nul": ("a\0b.wav", "cannot be read (its name is not valid)"),
        "missing": (str(folder / "missing.wav"), "no such file"),
        "through a file": (str(folder / "socket.wav" / "a.wav"), "(Not a directory)"),
    }


KINDS = ["folder", "socket", "device node", "long name", "no user", "nul", "missing"]


@pytest.mark.parametrize("kind", [*KINDS, "through a file"])
def test_what_is_no_recording_is_one_sentence(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    device, says = lie_at(tmp_path)[kind]
    with pytest.raises(AudioError) as caught:
        open_source(device, StreamConfig())
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_a_folder_that_may_not_be_entered_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0)
    done = aac_stream("--device", str(tmp_path / "shut" / "a.wav"))
    assert "cannot be read (Permission denied)" in the_one_line(done)


def test_no_way_to_look_at_a_path_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `stat` fails in a folder that may not be entered, for root too."""

    def stat(path: object, **_: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "stat", stat)
    with pytest.raises(AudioError, match=r"a\.wav: cannot be read \(Permission denied\)"):
        open_source(str(tmp_path / "a.wav"), StreamConfig())


def test_the_home_of_the_user_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded(tmp_path, "a.wav")
    monkeypatch.setenv("HOME", str(tmp_path))
    source = open_source("~/a.wav", StreamConfig(fast=True))
    assert len(samples_of(source)) == RATE


@pytest.mark.parametrize("suffix", ["wav", "ogg", "mp3"])
def test_a_name_that_is_not_utf8_is_read(tmp_path: Path, suffix: str) -> None:
    data = encoded(tmp_path, f"a.{suffix}")
    path = os.fsdecode(os.fsencode(tmp_path) + b"/k\xfcche." + suffix.encode())
    Path(path).write_bytes(data)
    source = open_source(path, StreamConfig(fast=True))
    assert len(samples_of(source)) == pytest.approx(RATE, abs=1500)
    source.name.encode()
    done = aac_stream("--fast", "--format", "jsonl", "--device", path)
    assert done.returncode == 0, done


def test_many_pipes_are_closed_again(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        named_pipe(tmp_path / "fifo", 16_000, 1, True).close()
    until(lambda: len(os.listdir("/proc/self/fd")) <= before)


def test_a_pipe_that_is_opened_again_goes_on_in_its_format(tmp_path: Path) -> None:
    """As a reload does it: its middle does not show what it is."""
    data = encoded(tmp_path, "a.wav", subtype="PCM_16")
    reader, writer = os.pipe()
    memory = Memory()
    with open(reader, "rb") as pipe:
        for part in (data[:1001], data[1001:3002], data[3002:5000]):
            os.write(writer, part)
            source = PipeSource("standard input", pipe, 8000, 1, True, None, memory=memory)
            frames = 0
            for block in source.blocks():
                frames += len(block.samples)
                if frames >= len(part) // 4 - 11:
                    break
            source.close()
            assert source.rate == RATE
            assert frames == pytest.approx(len(part) // 4, abs=11)
    os.close(writer)


@needs_ffmpeg
def test_a_pipe_that_cannot_go_on_in_its_middle_says_so(tmp_path: Path) -> None:
    memory = Memory()
    assert len(samples_of(pipe_with(encoded(tmp_path, "a.flac"), memory=memory))) == RATE
    with pytest.raises(AudioError, match="holds FLAC, which cannot be read on from its middle"):
        samples_of(pipe_with(b"\xff\xfb\x90" * 999, memory=memory))
