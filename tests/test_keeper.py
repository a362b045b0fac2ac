"""Audio is kept around events where that is asked for, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge.clip import read_clip
from edge.config import StreamConfig
from edge.errors import OutputError
from edge.heard import Heard
from edge.loop import Caption
from edge.sinks.keeper import LONGEST_S, Keeper
from edge.track import Event
from tests.helpers import SAMPLE, aac_stream, the_one_line

RATE = 16_000


def caption(end_s: float) -> Caption:
    return Caption(end_s - 5.0, end_s, "caption", "a dog barks", 0.8, -20.0)


def barked(start_s: float, end_s: float) -> Event:
    return Event(1, start_s, end_s, "a dog barks", 0.8, open=False)


def ramp(start_s: float, end_s: float) -> np.ndarray:
    """Samples that tell when they were."""
    return np.arange(start_s, end_s, 1 / RATE, dtype=np.float64).astype(np.float32) / 1000.0


def keeper(folder: Path, around_s: float) -> Keeper:
    return Keeper(StreamConfig(keep_audio=around_s, keep_folder=str(folder)), RATE)


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
    assert keep.of(Heard("mic", caption(9.0), (barked(4.0, 8.0),))) is None
    keep.hear("mic", 9.0, ramp(9.0, 10.5))
    assert keep.of(Heard("other", caption(10.5))) is None
    (clip,) = keep.of(Heard("mic", caption(10.5))) or []
    assert np.array_equal(clip.samples, ramp(0.0, 10.5)[2 * RATE : 10 * RATE])


def test_audio_that_was_lost_is_silence_and_the_end_of_a_run_ends_a_clip(tmp_path: Path) -> None:
    keep = keeper(tmp_path, 1.0)
    keep.hear("mic", 0.0, ramp(1.0, 3.0))
    keep.hear("mic", 4.0, ramp(4.0, 5.0))
    assert keep.of(Heard("mic", caption(5.0), (barked(1.0, 4.5),))) is None
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
    (clip,) = keep.of(Heard("mic", caption(2000.0), (barked(1900.0, 1998.0),))) or []
    assert len(clip.samples) == (LONGEST_S + 2.0) * RATE


def test_a_name_cannot_leave_the_folder_and_loud_audio_is_clipped(tmp_path: Path) -> None:
    keep = keeper(tmp_path / "kept", 1.0)
    keep.hear("../../etc", 0.0, 3.0 * np.ones(3 * RATE, np.float32))
    event = Event(1, 1.0, 2.0, "../a dog / barks", 0.8, open=False)
    keep.put(keep.of(Heard("../../etc", caption(3.0), (event,))) or [])
    (path,) = (tmp_path / "kept").glob("*.flac")
    assert path.name == "000001.0s_etc_1_a-dog-barks.flac"
    assert soundfile.read(path)[0].max() == pytest.approx(1.0, abs=1e-3)
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_what_cannot_be_written_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    keep = keeper(tmp_path / "kept", 1.0)
    keep.hear("mic", 0.0, ramp(0.0, 3.0))
    clips = keep.of(Heard("mic", caption(3.0), (barked(1.0, 2.0),))) or []
    (tmp_path / "kept").rmdir()
    with pytest.raises(OutputError, match=r"kept: cannot be written \(.*; choose another"):
        keep.put(clips)
    (tmp_path / "kept").mkdir()
    keep.put(clips)
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    arguments = ("--keep-audio", "1", "--keep-folder", str(tmp_path / "file" / "kept"))
    line = the_one_line(aac_stream("--device", str(SAMPLE), *arguments))
    assert "file/kept: cannot be written (Not a directory); choose another --keep-folder" in line
