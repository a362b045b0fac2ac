"""A user's recordings in `aac-distill prepare`: beside the scenes, and what cannot be decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from distill.scenes.noise import RATE
from distill.training.shard_builder import FEATURES
from distill.training.shards import read_about, read_shard, shard_folders
from edge.audio.clip import read_clip
from edge.inference.features import LogMel
from tests.made_up import prepare, state, the_line, tone

pytestmark = pytest.mark.usefixtures("one_thread")

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def recordings(tmp_path: Path) -> list[str]:
    """A table of three recordings and a broken one, and a folder of audio with two broken ones."""
    mine, audio = tmp_path / "mine", tmp_path / "audio"
    mine.mkdir()
    audio.mkdir()
    rows = ["path,caption"]
    for i, seconds in enumerate((0.8, 1.3, 1.0)):
        soundfile.write(mine / f"{i}.flac", tone(500.0 + 300.0 * i, seconds, 44_100), 44_100)
        rows.append(f'{i}.flac,"A zither, no. {i}, plays!"')
    rows += ["text.wav,A kazoo", "0.flac,a kazoo"]
    (mine / "captions.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (mine / "text.wav").write_text("not audio")
    soundfile.write(audio / "a.wav", tone(900.0, 1.4), RATE)
    broken = tone(900.0, 0.9)
    broken[RATE // 2] = np.nan
    soundfile.write(audio / "nan.wav", broken, RATE, subtype="FLOAT")
    soundfile.write(audio / "short.wav", broken[:4000], RATE)
    return ["--recordings", f"csv:{mine}", "--recordings", f"audio:{audio}"]


def test_recordings_join_the_scenes_and_broken_ones_are_left_out(
    corpus: Path, tagger: Path, tmp_path: Path, recordings: list[str], capsys: Capture
) -> None:
    store = tmp_path / "data"
    assert prepare(tmp_path, corpus, tagger, store, *recordings, scenes=2) == 0
    said = capsys.readouterr()
    left_out = [line for line in (said.out + said.err).splitlines() if "left out: " in line]
    assert len(left_out) == 3
    for name, why in (("text", "cannot be read"), ("short", "lasts 0.1"), ("nan", "(NaN)")):
        assert sum(f"/{name}.wav: " in line and why in line for line in left_out) == 1, name

    names = [folder.name for folder in shard_folders(store)]
    assert names == ["scenes-00000", "user-0-00000", "user-1-00000"]
    captioned, plain = (read_shard(folder) for folder in shard_folders(store)[1:])
    assert captioned.captions == [  # from the shortest to the longest, which sets the length
        ["a zither no 0 plays", "a kazoo"],
        ["a zither no 2 plays"],
        ["a zither no 1 plays"],
    ]
    assert plain.captions == [[]]
    assert all(shard.pseudo for shard in (captioned, plain))
    frames = FEATURES.frames(round(1.5 * FEATURES.sample_rate))
    assert captioned.features.shape == (3, frames, 64)
    assert plain.features.shape == (1, frames, 64)
    heard = LogMel(FEATURES)(read_clip(tmp_path / "mine" / "0.flac", FEATURES.sample_rate))
    whole = len(heard) - 3
    loud = heard[:whole] > heard.max() - 2.0  # two resamplers differ in what is hardly there
    difference = np.abs(captioned.features[0, :whole] - heard[:whole])[loud]
    assert difference.max() < 0.1
    silence = (10.0 * np.log10(FEATURES.floor) - FEATURES.mean) / FEATURES.std
    np.testing.assert_allclose(captioned.features[0, -40:], silence, atol=1e-2)

    about = read_about(store)
    assert "zither" in about["words"]
    assert "kazoo" not in about["words"]  # said too seldom to be learnt
    assert [s["clips"] for s in about["data"]["sources"]] == [2, 3, 8]
    assert about["data"]["sources"][1]["source"] == recordings[1]
    before = state(store)
    assert prepare(tmp_path, corpus, tagger, store, *recordings, scenes=2) == 0
    assert state(store) == before


def test_where_nothing_can_be_decoded_there_is_no_shard(
    corpus: Path, tagger: Path, tmp_path: Path, recordings: list[str], capsys: Capture
) -> None:
    (tmp_path / "audio" / "a.wav").unlink()
    store = tmp_path / "data"
    assert prepare(tmp_path, corpus, tagger, store, *recordings[2:], scenes=2) == 0
    assert [folder.name for folder in shard_folders(store)] == ["scenes-00000"]
    assert capsys.readouterr().out.count("left out: ") == 1


@pytest.mark.parametrize(("which", "broken"), [(0, "text.wav"), (1, "short.wav"), (1, "nan.wav")])
def test_strict_stops_at_the_first_broken_recording(
    corpus: Path,
    tagger: Path,
    tmp_path: Path,
    recordings: list[str],
    which: int,
    broken: str,
    capsys: Capture,
) -> None:
    if broken == "nan.wav":  # its header is in order: only decoding it tells
        (tmp_path / "audio" / "short.wav").unlink()
    given = recordings[2 * which : 2 * which + 2]
    store = tmp_path / "data"
    assert prepare(tmp_path, corpus, tagger, store, "--strict", *given, scenes=2) == 2
    assert f"/{broken}: " in the_line(capsys.readouterr().err)
    assert not (store / "prepared.json").exists()
