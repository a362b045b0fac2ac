"""Videos and streams through the real ffmpeg; the streams come from a real server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge.audio import ffmpeg
from edge.audio.ffmpeg import FfmpegSource, is_url
from edge.errors import AudioError, UnavailableError
from tests.helpers import ROOT, SAMPLE, aac_stream, captions_of, the_one_line, times
from tests.running import running, until
from tests.streams import RadioServer

needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None,
    reason="no streams without ffmpeg; to install it, type: "
    "sudo apt-get update && sudo apt-get install --no-install-recommends ffmpeg",
)
JSONL = ("--format", "jsonl")
SECONDS = 12.0  # of the sample, in the video


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test picture, with the start of the sample on the left and silence on the right."""
    folder = tmp_path_factory.mktemp("video")
    samples, rate = soundfile.read(SAMPLE, stop=int(32_000 * SECONDS), dtype="float32")
    stereo = np.stack([samples, np.zeros_like(samples)], axis=1)
    soundfile.write(folder / "sound.wav", stereo, rate)
    picture = ["-f", "lavfi", "-i", f"testsrc=duration={SECONDS}:size=64x48:rate=5"]
    make("-i", str(folder / "sound.wav"), *picture, str(folder / "a:film.mp4"))
    make(*picture, str(folder / "mute.mp4"))
    return folder / "a:film.mp4"


def make(*arguments: str) -> None:
    subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", *arguments], check=True, timeout=60)


@pytest.fixture
def radio() -> Iterator[RadioServer]:
    server = RadioServer(SAMPLE, soundfile.info(SAMPLE).duration)
    yield server
    server.close()


def children_with(text: str) -> list[str]:
    """The ffmpegs of this machine that have `text` on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        if text in line and "ffmpeg" in line:
            found.append(line)
    return found


@needs_ffmpeg
def test_a_video_is_captioned(video: Path) -> None:
    done = aac_stream("--device", str(video), "--fast")
    assert done.returncode == 0, done
    assert "a rooster crows" in done.stdout
    assert "at 32000 Hz" in done.stderr
    assert "12.0 s heard" in done.stderr


@needs_ffmpeg
@pytest.mark.parametrize("kind", ["mkv", "mp4", "webm"])
def test_a_video_that_is_cut_off_is_said_to_be(video: Path, tmp_path: Path, kind: str) -> None:
    whole, cut = tmp_path / f"whole.{kind}", tmp_path / f"cut.{kind}"
    make("-i", str(video.parent / "sound.wav"), "-movflags", "faststart", str(whole))
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    source = FfmpegSource(str(cut), fast=True, channel=None)
    with pytest.raises(AudioError, match=r"ends after [789]\.. s; it is incomplete"):
        for _ in source.blocks():
            pass
    source.close()


@needs_ffmpeg
@pytest.mark.parametrize(("channel", "quiet"), [(1, False), (2, True)])
def test_one_channel_of_a_video(video: Path, channel: int, quiet: bool) -> None:
    source = FfmpegSource(str(video), fast=True, channel=channel)
    samples = np.concatenate([block.samples for block in source.blocks()])
    source.close()
    assert samples.shape[1] == 1
    assert samples.shape[0] == pytest.approx(32_000 * SECONDS, abs=3000)  # AAC pads
    assert (np.abs(samples).max() < 0.001) == quiet


@needs_ffmpeg
def test_a_video_keeps_to_its_clock(video: Path) -> None:
    began = time.monotonic()
    source = FfmpegSource(str(video), fast=False, channel=None)
    frames = 0
    for block in source.blocks():
        frames += len(block.samples)
        if frames > 3 * source.rate:
            break
    source.close()
    assert 2.5 < time.monotonic() - began < 0.8 * SECONDS
    assert not children_with(str(video))


@needs_ffmpeg
def test_what_ffmpeg_cannot_read_either_is_one_line(video: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no audio at all, only words")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n")
    for path, says in [
        (tmp_path / "notes.txt", "notes.txt: cannot be read as audio ("),
        (tmp_path / "list.m3u8", "list.m3u8: cannot be read as audio ("),
        (video.with_name("mute.mp4"), "mute.mp4: cannot be read as audio (it holds no audio)"),
    ]:
        done = aac_stream("--device", str(path))
        assert says in the_one_line(done)
        assert len(done.stderr.splitlines()) == 1, done.stderr


@needs_ffmpeg
def test_a_channel_that_a_video_lacks_is_one_line(video: Path) -> None:
    done = aac_stream("--device", str(video), "--channel", "3")
    assert "a:film.mp4: has 2 channels, so there is no channel 3" in the_one_line(done)
    assert not children_with(str(video))


@pytest.mark.parametrize("device", ["rtsp://camera/audio", "https://radio.example/live"])
def test_a_url_without_ffmpeg_is_one_line(tmp_path: Path, device: str) -> None:
    done = aac_stream("--device", device, env={**os.environ, "PATH": str(tmp_path)})
    assert the_one_line(done).endswith(f"{device}: needs ffmpeg; type: sudo apt-get install ffmpeg")
    assert len(done.stderr.splitlines()) == 1


def test_a_file_without_ffmpeg_is_one_line(tmp_path: Path) -> None:
    env = {**os.environ, "PATH": str(tmp_path)}
    for name, says in [
        ("a.mkv", "a.mkv: needs ffmpeg; type: sudo apt-get install ffmpeg"),
        ("a.wav", "a.wav: cannot be read as audio; WAV, FLAC, OGG and MP3 are known"),
    ]:
        (tmp_path / name).write_bytes(b"\x1a\x45\xdf\xa3 of which nothing can be read")
        done = aac_stream("--device", str(tmp_path / name), env=env)
        assert the_one_line(done).endswith(says)


@needs_ffmpeg
def test_a_url_that_never_worked_is_one_line(radio: RadioServer) -> None:
    port = radio.port
    radio.close()
    done = aac_stream("--device", f"http://user:secret@127.0.0.1:{port}/live")
    line = the_one_line(done)
    assert f"http://127.0.0.1:{port}/live: cannot be read as audio (" in line
    assert "refused" in line
    assert "secret" not in line
    assert len(done.stderr.splitlines()) == 1


@needs_ffmpeg
def test_a_recording_behind_a_url_ends(radio: RadioServer) -> None:
    done = aac_stream("--device", radio.url("recording"), "--fast")
    assert done.returncode == 0, done
    assert "a rooster crows" in done.stdout
    assert f"{soundfile.info(SAMPLE).duration:.1f} s heard" in done.stderr


@needs_ffmpeg
def test_a_recording_that_is_cut_off_is_one_line(radio: RadioServer) -> None:
    done = aac_stream("--device", radio.url("cut"), "--fast")
    assert "s; it is incomplete" in the_one_line(done)
    assert "a rooster crows" in done.stdout


def rooster_in(lines: list[str]) -> bool:
    return any("rooster" in caption["text"] for caption in captions_of(lines))


@needs_ffmpeg
def test_a_live_stream_that_breaks_is_waited_for(radio: RadioServer) -> None:
    with running(*JSONL, "--device", radio.url("live")) as run:
        run.told("listening to")
        began = time.monotonic()
        until(lambda: rooster_in(run.out))
        radio.close()
        run.told("gives no audio any more")
        time.sleep(4.0)
        before = len(run.out)
        again = RadioServer(SAMPLE, soundfile.info(SAMPLE).duration, radio.port)
        try:
            run.told("is back after")
            until(lambda: rooster_in(run.out[before + 1 :]))
            run.end(signal.SIGINT)
            assert run.process.returncode == 0
        finally:
            again.close()
    assert times("waiting for it", run.err) == 1
    assert times("is back after", run.err) == 1
    assert times("s of audio lost", run.err) == 1
    elapsed = time.monotonic() - began
    assert captions_of(run.out)[-1]["end_s"] == pytest.approx(elapsed, abs=5.0)
    assert not children_with(radio.url("live"))


@needs_ffmpeg
def test_a_stream_that_stalls_is_taken_for_dead(
    radio: RadioServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ffmpeg, "STALLED_S", 2.0)
    source = FfmpegSource(radio.url("live"), fast=False, channel=None)
    blocks = source.blocks()
    next(blocks)
    radio.stalled.set()
    with pytest.raises(UnavailableError, match="gives no audio any more"):
        for _ in blocks:
            pass
    source.close()
    assert not children_with(radio.url("live"))


@needs_ffmpeg
def test_a_server_that_answers_and_gives_nothing(
    radio: RadioServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ffmpeg, "START_S", 2.0)
    radio.stalled.set()
    with pytest.raises(AudioError, match="gave no audio for 2 s"):
        FfmpegSource(radio.url("live"), fast=False, channel=None)
    assert not children_with(radio.url("live"))


@needs_ffmpeg
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv on this system")
def test_a_run_that_is_killed_leaves_no_ffmpeg(radio: RadioServer) -> None:
    with running(*JSONL, "--device", radio.url("live")) as run:
        run.told("listening to")
        radio.stalled.set()
        time.sleep(1.0)
        assert children_with(radio.url("live"))
        run.process.kill()
        deadline = time.monotonic() + 30.0
        while children_with(radio.url("live")):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_what_is_a_url() -> None:
    assert is_url("rtsp://camera/1")
    assert is_url("HTTP://radio/live")
    assert not is_url("mic")
    assert not is_url(str(ROOT / "a:b.mp4"))
