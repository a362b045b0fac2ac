"""Audio is kept around events where that is asked for, and nowhere else."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge.audio.clip import read_clip
from edge.config import StreamConfig
from edge.errors import OutputError
from edge.sinks.clip_files import CLIP, Clip
from edge.sinks.clip_recorder import LONGEST_S, ClipRecorder
from edge.streaming.event_tracker import Event
from edge.streaming.pipeline import Caption
from edge.streaming.results import WindowResult
from tests.helpers import ROOT, SAMPLE, aac_stream, the_one_line
from tests.running import until

RATE = 16_000


def caption(end_s: float) -> Caption:
    return Caption(end_s - 5.0, end_s, "caption", "a dog barks", 0.8, -20.0)


def barked(start_s: float, end_s: float) -> Event:
    return Event(1, start_s, end_s, "a dog barks", 0.8, open=False)


def ramp(start_s: float, end_s: float) -> np.ndarray:
    """Samples that tell when they were."""
    return np.arange(start_s, end_s, 1 / RATE, dtype=np.float64).astype(np.float32) / 1000.0


def keeper(folder: Path, around_s: float) -> ClipRecorder:
    return ClipRecorder(StreamConfig(keep_audio=around_s, keep_folder=str(folder)), RATE)


def test_each_event_of_the_sample_is_kept_with_what_was_around_it(tmp_path: Path) -> None:
    arguments = ("--device", str(SAMPLE), "--fast", "--format", "events")
    done = aac_stream(*arguments, "--keep-audio", "1.5", "--keep-folder", str(tmp_path / "kept"))
    closed = [e for e in map(json.loads, done.stdout.splitlines()) if not e["open"]]
    audio = read_clip(SAMPLE, RATE)
    kept = {json.loads(p.read_text())["number"]: p for p in (tmp_path / "kept").glob("*.json")}
    assert set(kept) == {event["number"] for event in closed}
    assert len(list((tmp_path / "kept").iterdir())) == 2 * len(closed)
    for event in closed:
        about = json.loads(kept[event["number"]].read_text())
        assert {key: about[key] for key in event} == event
        start_s = max(0.0, event["start_s"] - 1.5)
        assert about["audio_start_s"] == pytest.approx(start_s)
        samples, rate = soundfile.read(kept[event["number"]].with_suffix(".flac"))
        assert rate == RATE
        first, last = round(start_s * RATE), round((event["end_s"] + 1.5) * RATE)
        true = audio[first:last]
        # It may end with the recording.
        assert len(samples) == pytest.approx(len(true), abs=RATE // 10)
        assert np.abs(samples - true[: len(samples)]).max() < 2e-3
    names = [path.name for path in kept.values()]
    assert any(name.endswith("_1_a-rooster-crows.json") for name in names)


def test_no_audio_is_written_unless_it_is_asked_for(tmp_path: Path) -> None:
    done = aac_stream("--device", str(SAMPLE), "--fast", "--keep-folder", str(tmp_path / "kept"))
    assert done.returncode == 0
    assert not (tmp_path / "kept").exists()


def test_it_waits_for_what_comes_after_the_event_and_then_ends_there(tmp_path: Path) -> None:
    keep = keeper(tmp_path, 2.0)
    keep.hear("mic", 0.0, ramp(0.0, 9.0))
    assert keep.of(WindowResult("mic", caption(9.0), (barked(4.0, 8.0),))) is None
    keep.hear("mic", 9.0, ramp(9.0, 10.5))
    assert keep.of(WindowResult("other", caption(10.5))) is None
    (clip,) = keep.of(WindowResult("mic", caption(10.5))) or []
    assert np.array_equal(clip.samples, ramp(0.0, 10.5)[2 * RATE : 10 * RATE])


def test_audio_that_was_lost_is_silence_and_the_end_of_a_run_ends_a_clip(tmp_path: Path) -> None:
    keep = keeper(tmp_path, 1.0)
    keep.hear("mic", 0.0, ramp(1.0, 3.0))
    keep.hear("mic", 4.0, ramp(4.0, 5.0))
    assert keep.of(WindowResult("mic", caption(5.0), (barked(1.0, 4.5),))) is None
    (clip,) = keep.end() or []
    assert len(clip.samples) == 5 * RATE
    assert not clip.samples[2 * RATE : 4 * RATE].any()
    assert clip.samples[:100].any()
    assert clip.samples[-100:].any()


def test_memory_is_bounded_and_so_is_the_length_of_a_clip(tmp_path: Path) -> None:
    keep = keeper(tmp_path, 1.0)
    for second in range(2000):
        keep.hear("mic", float(second), ramp(second, second + 1.0))
    held_s = sum(len(piece) for _, piece in keep._audio["mic"]) / RATE
    assert held_s < 400.0
    (clip,) = keep.of(WindowResult("mic", caption(2000.0), (barked(1900.0, 1998.0),))) or []
    assert len(clip.samples) == (LONGEST_S + 2.0) * RATE


def test_a_name_cannot_leave_the_folder_and_loud_audio_is_clipped(tmp_path: Path) -> None:
    keep = keeper(tmp_path / "kept", 1.0)
    keep.hear("../../etc", 0.0, 3.0 * np.ones(3 * RATE, np.float32))
    event = Event(1, 1.0, 2.0, "../a dog / barks", 0.8, open=False)
    keep.put(keep.of(WindowResult("../../etc", caption(3.0), (event,))) or [])
    (path,) = (tmp_path / "kept").glob("*.flac")
    assert path.name == "000001.0s_etc_1_a-dog-barks.flac"
    assert soundfile.read(path)[0].max() == pytest.approx(1.0, abs=1e-3)
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_what_cannot_be_written_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    keep = keeper(tmp_path / "kept", 1.0)
    keep.hear("mic", 0.0, ramp(0.0, 3.0))
    clips = keep.of(WindowResult("mic", caption(3.0), (barked(1.0, 2.0),))) or []
    (tmp_path / "kept").rmdir()
    with pytest.raises(OutputError, match=r"kept: cannot be written \(.*; choose another"):
        keep.put(clips)
    (tmp_path / "kept").mkdir()
    keep.put(clips)
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_no_clip_takes_the_place_of_another(tmp_path: Path) -> None:
    """Devices whose names end up alike, a run that is repeated, and a retry after a failure."""
    keep = keeper(tmp_path, 1.0)
    for device in ("Küche!", "Küche?"):
        keep.hear(device, 0.0, ramp(0.0, 3.0))
        keep.put(keep.of(WindowResult(device, caption(3.0), (barked(1.0, 2.0),))) or [])
    again = keeper(tmp_path, 1.0)
    again.hear("Küche!", 0.0, ramp(0.0, 2.5))
    again.put(again.of(WindowResult("Küche!", caption(3.0), (barked(1.0, 2.0),))) or [])
    stem = "000001.0s_kuche_1_a-dog-barks"
    names = {f"{stem}{number}.{kind}" for number in ("", "_2", "_3") for kind in ("flac", "json")}
    assert {path.name for path in tmp_path.iterdir()} == names
    devices = [json.loads((tmp_path / f"{stem}{n}.json").read_text())["device"] for n in ("", "_2")]
    assert devices == ["Küche!", "Küche?"]
    lengths = [soundfile.info(tmp_path / f"{stem}{n}.flac").frames for n in ("", "_2", "_3")]
    assert lengths == [3 * RATE, 3 * RATE, 2.5 * RATE]


def test_what_is_written_is_not_written_again_with_what_failed(tmp_path: Path) -> None:
    keep = keeper(tmp_path, 1.0)
    keep.hear("mic", 0.0, ramp(0.0, 3.0))
    events = tuple(Event(n, 1.0, 2.0, "a dog barks", 0.8, open=False) for n in (1, 2))
    clips = keep.of(WindowResult("mic", caption(3.0), events)) or []
    second = clips[1]
    clips[1] = Clip(tmp_path / "no" / "folder", second.samples, second.about)
    with pytest.raises(OutputError):
        keep.put(clips)
    clips[0] = second
    keep.put(clips)
    numbers = sorted(json.loads(path.read_text())["number"] for path in tmp_path.glob("*.json"))
    assert numbers == [1, 2]


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("Küche", "kuche"),
        ("Köche", "koche"),
        ("Bob's room", "bob-s-room"),
        ("R&D", "r-d"),
        ("kitchen (left)", "kitchen-left"),
        ("Café №1", "cafe-no1"),
        ("Łódź straße", "lodz-strasse"),
        ("кухня", "кухня"),
        ("居間", "居間"),
        ("がくせい", "がくせい"),
        ("हिन्दी", "हिन्दी"),
        ("../../etc", "etc"),
        ("a_b", "a-b"),
        ("👩", "x"),
        ("..", "x"),
        ("/very" * 30 + "/deep/2026-11-25 kitchen.wav", None),
        ("居間" * 60, None),
    ],
)
def test_names_say_which_device_it_was(tmp_path: Path, label: str, name: str | None) -> None:
    keep = keeper(tmp_path, 1.0)
    keep.hear(label, 0.0, ramp(0.0, 3.0))
    keep.put(keep.of(WindowResult(label, caption(3.0), (barked(1.0, 2.0),))) or [])
    (path,) = tmp_path.glob("*.flac")
    assert CLIP.fullmatch(path.name)
    assert len(path.name.encode()) < 200
    shown = path.name.split("_")[1]
    if name is None:
        assert len(shown.encode()) <= 60
        assert shown.endswith("deep-2026-11-25-kitchen-wav" if "very" in label else "居間")
    else:
        assert shown == name


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        keep = keeper(tmp_path / "kept", 1.0)
        keep.hear("mic", 0.0, ramp(0.0, 3.0))
        keep.put(keep.of(WindowResult("mic", caption(3.0), (barked(1.0, 2.0),))) or [])
        (tmp_path / "there").mkdir(mode=0o755)
        keeper(tmp_path / "there", 1.0)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "there").stat().st_mode) == 0o755  # the user's own
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "kept").iterdir()]
    assert modes == [0o600, 0o600]


def test_an_event_without_audio_leaves_no_empty_clip(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("edge"), "propagate", True)
    keep = keeper(tmp_path, 1.0)
    assert keep.of(WindowResult("mic", None, (barked(5.0, 9.0),))) is None
    assert "there is no audio of event 1, 'a dog barks'" in caplog.text
    keep.hear("mic", 100.0, ramp(100.0, 103.0))
    assert keep.of(WindowResult("mic", None, (barked(5.0, 9.0),))) is None
    assert not list(tmp_path.iterdir())


def test_a_sound_of_hours_is_kept_from_its_beginning(tmp_path: Path) -> None:
    """Its audio is taken before it is forgotten, and once."""
    keep = keeper(tmp_path, 1.0)
    opened = Event(1, 5.0, 10.0, "rain falls", 0.8, open=True)
    clips = []
    for second in range(600):
        keep.hear("mic", float(second), ramp(second, second + 1.0))
        events = (opened,) if second == 10 else ()
        clips += keep.of(WindowResult("mic", caption(second + 1.0), events)) or []
    closed = Event(1, 5.0, 600.0, "rain falls", 0.8, open=False)
    assert keep.of(WindowResult("mic", None, (closed,))) is None
    assert keep.end() is None
    (clip,) = clips
    assert np.array_equal(clip.samples, ramp(0.0, 70.0)[4 * RATE : 66 * RATE])


@pytest.mark.parametrize(
    ("settings", "most_s"),
    [({}, 140.0), ({"window_s": 30.0, "hop_s": 30.0}, 230.0)],
)
def test_the_audio_that_is_held_is_bounded_in_seconds(
    tmp_path: Path, settings: dict[str, float], most_s: float
) -> None:
    config = StreamConfig(keep_audio=3.0, keep_folder=str(tmp_path), **settings)  # type: ignore[arg-type]
    keep = ClipRecorder(config, RATE)
    for minute in range(100):
        keep.hear("mic", 60.0 * minute, np.zeros(60, np.float32))
    held = keep._audio["mic"]
    assert held[-1][0] - held[0][0] < most_s


def test_a_file_that_is_read_fast_waits_for_the_clips(tmp_path: Path) -> None:
    """Audio is far ahead of the sink, which no window of 30 s has reached yet."""
    config = StreamConfig(
        keep_audio=1.0, keep_folder=str(tmp_path), window_s=30.0, hop_s=30.0, fast=True
    )
    keep = ClipRecorder(config, RATE, sources_wait=True)
    reader = threading.Thread(
        target=lambda: [keep.hear("x", float(s), ramp(s, s + 1.0)) for s in range(1200)]
    )
    reader.start()
    clips = []
    for end_s in range(30, 1200, 30):
        until(lambda end_s=end_s: bool(keep._audio) and keep._audio["x"][-1][0] >= end_s - 1)  # type: ignore[misc]
        events = (Event(end_s, end_s - 20.0, end_s - 10.0, "x", 0.8, open=False),)
        clips += keep.of(WindowResult("x", caption(float(end_s)), events)) or []
    keep.close()
    reader.join()
    assert len(clips) == 39
    assert all(len(clip.samples) == 12 * RATE for clip in clips)


# --- how much is kept, and for how long


def old_clip(folder: Path, name: str, days: float, size: int) -> None:
    for suffix, count in ((".flac", size - 100), (".json", 100)):
        path = folder / f"{name}{suffix}"
        path.write_bytes(bytes(count))
        os.utime(path, (time.time() - days * 86_400,) * 2)


def foreign(folder: Path) -> set[str]:
    """Files that are not ours, all of them old and large."""
    names = {
        *("holiday.flac", "20261124T233324Z.flac", "20261124T233324Z_kitchen_1_dog.wav"),
        *("x20261124T233324Z_kitchen_1_dog.flac", "20261124T233324Z_kitchen_one_dog.flac"),
        *("20261124T233324Z_kitchen_1_dog.flac.bak", "notes.json", ".hidden.part"),
    }
    for name in names:
        (folder / name).write_bytes(bytes(3_000_000))
        os.utime(folder / name, (0, 0))
    (folder / "20261124T233324Z_folder_1_dog.flac").mkdir()
    (folder / "20261124T233324Z_link_1_dog.flac").symlink_to(folder / "holiday.flac")
    return {path.name for path in folder.iterdir()}


def left(folder: Path, theirs: set[str]) -> set[str]:
    """Our clips in `folder`, whose other files must all be there."""
    there = {path.name for path in folder.iterdir()}
    assert theirs <= there
    ours = there - theirs
    assert {Path(name).suffix for name in ours} <= {".flac", ".json"}
    return {Path(name).stem.split("_")[3] for name in ours}


def test_the_oldest_clips_go_when_all_take_too_much(tmp_path: Path) -> None:
    theirs = foreign(tmp_path)
    for days in range(1, 6):
        old_clip(tmp_path, f"2026112{9 - days}T000000Z_kitchen_{days}_{days}", days, 500_000)
    old_clip(tmp_path, "000001.0s_kitchen_1_sixth_2", 6.0, 500_000)
    config = StreamConfig(keep_audio=1.0, keep_folder=str(tmp_path), keep_max_mb=2.1)
    keep = ClipRecorder(config, RATE)
    assert left(tmp_path, theirs) == {"1", "2", "3", "4"}
    keep.hear("mic", 0.0, np.random.default_rng(0).uniform(-1, 1, 10 * RATE).astype(np.float32))
    keep.put(keep.of(WindowResult("mic", caption(10.0), (barked(1.0, 9.0),))) or [])
    assert left(tmp_path, theirs) == {"1", "2", "3", "a-dog-barks"}
    keep._most_bytes = 1.0  # one clip is more than that, and the newest stays
    keep.hear("mic", 10.0, ramp(0.0, 3.0))
    keep.put(
        keep.of(WindowResult("mic", None, (Event(2, 11.0, 12.0, "new", 0.8, open=False),))) or []
    )
    assert left(tmp_path, theirs) == {"new"}


def test_clips_go_when_they_are_too_old_even_if_nothing_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = foreign(tmp_path)
    for days in range(1, 6):
        old_clip(tmp_path, f"2026112{9 - days}T000000Z_kitchen_{days}_{days}", days, 500)
    config = StreamConfig(keep_audio=1.0, keep_folder=str(tmp_path), keep_days=3.5)
    keep = ClipRecorder(config, RATE)
    assert left(tmp_path, theirs) == {"1", "2", "3"}
    keep._longest_s = 1.5 * 86_400
    now = time.monotonic()
    keep.of(WindowResult("mic", caption(3.0)))
    assert left(tmp_path, theirs) == {"1", "2", "3"}  # not each second
    monkeypatch.setattr(time, "monotonic", lambda: now + 3700.0)
    keep.of(WindowResult("mic", caption(3.0)))
    assert left(tmp_path, theirs) == {"1"}


def test_without_limits_all_clips_stay_but_not_what_a_killed_run_left(tmp_path: Path) -> None:
    theirs = foreign(tmp_path)
    old_clip(tmp_path, "20261124T000000Z_kitchen_1_old", 5000.0, 500)
    for name, days in ((".20261124T000000Z_k_1_a.part", 2), (".20261124T000000Z_k_1_b.part", 0)):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - days * 86_400,) * 2)
    (tmp_path / ".20261124T000000Z_k_1_a.json.part").write_bytes(b"half")
    os.utime(tmp_path / ".20261124T000000Z_k_1_a.json.part", (0, 0))
    keeper(tmp_path, 1.0)
    (tmp_path / ".20261124T000000Z_k_1_b.part").unlink()  # it may be being written
    assert left(tmp_path, theirs) == {"old"}


def test_a_run_that_is_killed_while_it_writes_leaves_no_half_clip(tmp_path: Path) -> None:
    """The process ends as the data is to go to the disk, and at each later step."""
    program = """
import os, sys
import numpy as np
from pathlib import Path
from edge.sinks.clip_files import Clip, write_clip
calls = 0
def dies_at(step, function):
    def call(*arguments, **keywords):
        global calls
        calls += 1
        if calls == step:
            os._exit(9)
        return function(*arguments, **keywords)
    return call
for step in range(1, 6):
    child = os.fork()
    if not child:
        for name in ("fsync", "rename", "replace"):
            setattr(os, name, dies_at(step, getattr(os, name)))
        name = Path(sys.argv[1]) / f"00000{step}.0s_mic_1_x"
        write_clip(Clip(name, np.zeros(16000, np.float32), {"a": 1}), 16000)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == (9 if step < 5 else 0)
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, check=True)
    assert [path.name for path in tmp_path.glob("*.flac")] == ["000005.0s_mic_1_x.flac"]
    assert soundfile.info(tmp_path / "000005.0s_mic_1_x.flac").frames == 16_000
    assert [json.loads(p.read_text()) for p in tmp_path.glob("0*.json")] == [{"a": 1}] * 2


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    arguments = ("--keep-audio", "1", "--keep-folder", str(tmp_path / "file" / "kept"))
    line = the_one_line(aac_stream("--device", str(SAMPLE), *arguments))
    assert "file/kept: cannot be written (Not a directory); choose another --keep-folder" in line
