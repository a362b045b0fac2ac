"""Recordings of a user: each layout as it lies on disk, and what is said of what cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distill.captions.english import normalise
from distill.corpus.user_recordings import LAYOUTS, find_recordings
from distill.errors import CorpusError

RATE = 16_000


def record(path: Path, seconds: float = 0.6) -> Path:
    """A file of noise, of the kind that its suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).standard_normal(round(seconds * RATE))
    soundfile.write(path, 0.1 * noise, RATE)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def refusal(folder: Path, layout: str = "csv", split: str = "train") -> str:
    """What is said when nothing can be given: a single line."""
    with pytest.raises(CorpusError) as caught:
        find_recordings(folder, layout, split)
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    return said


# --- captions.csv


def test_rows_of_one_path_are_captions_of_one_recording(tmp_path: Path) -> None:
    dog, rain = record(tmp_path / "dog.wav"), record(tmp_path / "wet" / "rain.flac")
    write(
        tmp_path / "captions.csv",
        'path,caption\ndog.wav,A dog barks.\nwet/rain.flac,"Rain, on a roof"\n./dog.wav,It barks\n',
    )
    found = find_recordings(tmp_path, "csv")
    assert [(r.path, r.captions, r.source) for r in found.recordings] == [
        (dog, ("A dog barks.", "It barks"), tmp_path.name),
        (rain, ("Rain, on a roof",), tmp_path.name),
    ]
    assert found.faults == []


def test_a_folder_that_is_the_current_one_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path / "dog.wav")
    monkeypatch.chdir(tmp_path)
    assert find_recordings(Path("."), "audio").recordings[0].source == tmp_path.name


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", ["a", "d"]),
        ("development", ["a", "d"]),
        ("val", ["b"]),
        ("validation", ["b"]),
        ("evaluation", ["c"]),
    ],
)
def test_rows_of_another_split_are_left_alone(tmp_path: Path, split: str, names: list[str]) -> None:
    for name in "abcd":
        record(tmp_path / f"{name}.wav")
    write(
        tmp_path / "captions.csv",
        "path,caption,split\na.wav,x,train\nb.wav,x,Validation\nc.wav,x,test\nd.wav,x,dev\n"
        "e.wav,x,\n",
    )
    found = find_recordings(tmp_path, "csv", split)
    assert [r.path.stem for r in found.recordings] == names
    assert len(found.faults) == 1  # the row that has none
    assert "line 6: " in found.faults[0]
    assert "no split" in found.faults[0]


def test_a_split_that_no_row_has_is_refused(tmp_path: Path) -> None:
    record(tmp_path / "a.wav")
    write(tmp_path / "captions.csv", "path,caption,split\na.wav,x,train\n")
    assert "no recording of split val" in refusal(tmp_path, split="val")


@pytest.mark.parametrize(("mark", "end"), [("\ufeff", "\n"), ("", "\r\n"), ("\ufeff", "\r\n")])
def test_tables_of_other_systems_are_read(tmp_path: Path, mark: str, end: str) -> None:
    record(tmp_path / "dog.wav")
    lines = ["path , caption", "dog.wav, A dog  says «wau» ", ""]
    write(tmp_path / "captions.csv", mark + end.join(lines))
    (recording,) = find_recordings(tmp_path, "csv").recordings
    assert recording.captions == ("A dog says «wau»",)


def test_what_cannot_be_used_is_named_and_skipped(tmp_path: Path) -> None:
    record(tmp_path / "good.wav")
    record(tmp_path / "half.wav", 0.5)
    write(tmp_path / "text.wav", "not audio")
    (tmp_path / "folder.wav").mkdir()
    rows = ["gone.wav,x", "half.wav,x", "text.wav,x", "folder.wav,x", "good.wav, ...", "good.wav"]
    rows += [",x", "good.wav,a dog, barking", "good.wav,good", '"new\nline.wav",x']
    write(tmp_path / "captions.csv", "path,caption\n" + "\n".join(rows) + "\n")
    found = find_recordings(tmp_path, "csv")
    assert [(r.path.name, r.captions) for r in found.recordings] == [("good.wav", ("good",))]
    table = tmp_path / "captions.csv"
    said = [
        f"{table}, line 6: empty caption of {tmp_path}/good.wav",
        f"{table}, line 7: empty caption of {tmp_path}/good.wav",
        f"{table}, line 8: . is no file",
        f"{table}, line 9: too many cells",
        f"{tmp_path}/gone.wav: no such file",
        f"{tmp_path}/half.wav: lasts 0.50 s",
        f"{tmp_path}/text.wav: cannot be read as audio",
        f"{tmp_path}/folder.wav: no such file",
        f"{tmp_path}/new line.wav: no such file",
    ]
    assert len(found.faults) == len(said)
    for fault, start in zip(found.faults, said, strict=True):
        assert fault.startswith(start)
        assert "\n" not in fault


def test_a_name_that_no_system_allows_is_a_fault(tmp_path: Path) -> None:
    record(tmp_path / "good.wav")
    write(tmp_path / "captions.csv", f"path,caption\n{'x' * 5000}.wav,x\ngood.wav,x\n")
    found = find_recordings(tmp_path, "csv")
    assert len(found.recordings) == len(found.faults) == 1


def test_nothing_outside_the_folder_is_taken_unless_by_its_absolute_path(tmp_path: Path) -> None:
    outside, folder = record(tmp_path / "outside.wav"), tmp_path / "folder"
    inside = record(folder / "inside.wav")
    (folder / "sub").mkdir()
    rows = ["../outside.wav", "sub/../../outside.wav", "sub/../inside.wav"]
    rows += [str(outside), str(tmp_path / "gone.wav")]
    write(folder / "captions.csv", "path,caption\n" + "".join(f"{row},x\n" for row in rows))
    found = find_recordings(folder, "csv")
    assert [r.path for r in found.recordings] == [inside, outside]
    assert len(found.faults) == 3
    assert all("../outside.wav" in fault for fault in found.faults[:2])
    assert found.faults[2] == f"{tmp_path}/gone.wav: no such file"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (b"path,text\na.wav,x\n", "no column caption"),
        (b"file,caption\na.wav,x\n", "no column path"),
        (b"", "no column path"),
        (b"path;caption\na.wav;x\n", "no column path"),
        (b"path,caption\na.wav,caf\xe9\n", "UTF-8"),
        ("path,caption\na.wav,x\n".encode("utf-16"), "UTF-8"),
        (b'path,caption\na.wav,"x\na.wav,y\n', "closing quotes"),
        (b'path,caption\na.wav,x\na.wav,"x\na.wav,"y, z"\n', "line 2"),
        (b"path,caption\na.wav," + b"x" * 200_000, "field"),
        (b"path,caption\n", "no recording"),
        (b"path,caption\ngone.wav,x\n", "gone.wav: no such file"),
        (b'path,caption\n"new\nline.wav",x\n', "new line.wav: no such file"),
    ],
)
def test_a_table_that_is_not_right_is_named(tmp_path: Path, table: bytes, said: str) -> None:
    record(tmp_path / "a.wav")
    (tmp_path / "captions.csv").write_bytes(table)
    message = refusal(tmp_path)
    assert said in message
    assert message.startswith(str(tmp_path))


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    record(tmp_path / "a.wav")
    assert refusal(tmp_path).startswith(f"{tmp_path}/captions.csv: ")
    (tmp_path / "captions.csv").mkdir()
    assert refusal(tmp_path).startswith(f"{tmp_path}/captions.csv: ")


# --- audio alone


def test_all_audio_below_the_folder_is_found_in_order(tmp_path: Path) -> None:
    names = ["b/x.MP3", "a.wav", "b/c/y.ogg", "z.flac"]
    for name in names:
        record(tmp_path / name)
    write(tmp_path / "notes.txt", "no audio")
    write(tmp_path / "b" / "broken.wav", "RIFF")
    os.symlink(tmp_path / "gone.wav", tmp_path / "link.wav")
    found = find_recordings(tmp_path, "audio")
    assert [r.path for r in found.recordings] == sorted(tmp_path / name for name in names)
    assert {(r.captions, r.source) for r in found.recordings} == {((), tmp_path.name)}
    assert [fault.split(": ")[0] for fault in found.faults] == [
        str(tmp_path / "b" / "broken.wav"),
        str(tmp_path / "link.wav"),
    ]


def test_the_mp3_decoder_tells_the_terminal_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = record(tmp_path / "a.mp3", 2.0).read_bytes()
    (tmp_path / "a.mp3").write_bytes(whole[:3000] + b"\x55" * 3000 + whole[3000:])
    find_recordings(tmp_path, "audio")
    assert capfd.readouterr().err == ""


def test_a_folder_without_audio_is_refused(tmp_path: Path) -> None:
    assert str(tmp_path) in refusal(tmp_path, "audio")
    assert f"{tmp_path}/gone: no such folder" in refusal(tmp_path / "gone", "audio")


def test_a_layout_that_is_not_known_is_refused(tmp_path: Path) -> None:
    assert all(name in refusal(tmp_path, "kaggle") for name in ("kaggle", *LAYOUTS))


# --- Clotho

CLOTHO_HEADER = "file_name,caption_1,caption_2,caption_3,caption_4,caption_5\n"


def clotho(root: Path, version: str, split: str, rows: str) -> Path:
    home = root / f"CLOTHO_{version}"
    write(home / "clotho_csv_files" / f"clotho_captions_{split}.csv", CLOTHO_HEADER + rows)
    return home


@pytest.mark.parametrize(
    ("split", "folder"),
    [("train", "development"), ("val", "validation"), ("test", "evaluation"),
     ("evaluation", "evaluation")],
)  # fmt: skip
def test_clotho_is_found_by_its_root_and_by_its_own_folder(
    tmp_path: Path, split: str, folder: str
) -> None:
    home = clotho(tmp_path, "v2.1", folder, 'My rain.wav,One.,"Two, 2",Three,Four,Five\n')
    rain = record(home / "clotho_audio_files" / folder / "My rain.wav")
    for place in (tmp_path, home):
        found = find_recordings(place, "clotho", split)
        assert found.faults == []
        (recording,) = found.recordings
        assert recording.path == rain
        assert recording.captions == ("One.", "Two, 2", "Three", "Four", "Five")
        assert recording.source == "clotho"


def test_clotho_the_newest_version_that_has_the_split_is_taken(tmp_path: Path) -> None:
    for version, split in (("v1", "evaluation"), ("v1", "development"), ("v2.1", "development")):
        home = clotho(tmp_path, version, split, f"a.wav,{version},{version},x,x,x\n")
        record(home / "clotho_audio_files" / split / "a.wav")
    write(tmp_path / "CLOTHO_v3.zip", "an archive")
    assert find_recordings(tmp_path, "clotho").recordings[0].captions[0] == "v2.1"
    assert find_recordings(tmp_path, "clotho", "test").recordings[0].captions[0] == "v1"


def test_clotho_with_gaps(tmp_path: Path) -> None:
    rows = "a.wav,1,,3,4,5\nb.wav,1,2,3,4,5\n../../../outside.wav,1,2,3,4,5\n"
    home = clotho(tmp_path, "v2.1", "development", rows)
    record(tmp_path / "outside.wav")
    record(home / "clotho_audio_files" / "development" / "a.wav")
    found = find_recordings(tmp_path, "clotho")
    assert [r.captions for r in found.recordings] == [("1", "3", "4", "5")]
    assert len(found.faults) == 3
    assert "line 2: empty caption_2 of " in found.faults[0]
    assert "outside.wav is no file in the folder" in found.faults[1]
    assert found.faults[2].endswith("/b.wav: no such file")


def test_clotho_what_is_missing_is_named(tmp_path: Path) -> None:
    assert "clotho_captions_validation.csv" in refusal(tmp_path, "clotho", "val")
    assert "weekend" in refusal(tmp_path, "clotho", "weekend")
    home = clotho(tmp_path, "v2.1", "development", "a.wav,1,2,3,4,5\n")
    assert "a.wav: no such file" in refusal(home, "clotho")
    table = home / "clotho_csv_files" / "clotho_captions_development.csv"
    write(table, "file_name,caption_1,caption_2,caption_3,caption_4\na.wav,1,2,3,4\n")
    assert refusal(home, "clotho").startswith(f"{table}: no column caption_5")


# --- AudioCaps

AUDIOCAPS_HEADER = "audiocap_id,youtube_id,start_time,caption\n"


@pytest.mark.parametrize("at", ["csv_files_v1", "csv_files_v2", ""])
@pytest.mark.parametrize(("split", "name"), [("train", "train"), ("validation", "val")])
def test_audiocaps_is_found_by_its_root_and_by_its_own_folder(
    tmp_path: Path, at: str, split: str, name: str
) -> None:
    home = tmp_path / "AUDIOCAPS"
    rows = '1,-Ab_c1,130,"Ducks quack, water"\n2,xyz,0,gone\n3,-Ab_c1,130,Ducks\n4,-Ab_c1,30,Cows\n'
    write(home / at / f"{name}.csv", AUDIOCAPS_HEADER + rows)
    ducks = record(home / "audio_32000Hz" / name / "-Ab_c1_130.flac")
    cows = record(home / "audio_32000Hz" / name / "-Ab_c1_30.wav")  # of audiocaps-download
    for place in (tmp_path, home):
        found = find_recordings(place, "audiocaps", split)
        assert [(r.path, r.captions, r.source) for r in found.recordings] == [
            (ducks, ("Ducks quack, water", "Ducks"), "audiocaps"),
            (cows, ("Cows",), "audiocaps"),
        ]
        assert found.faults == [f"{home}/audio_32000Hz/{name}/xyz_0: no such file"]


def test_audiocaps_of_another_rate_and_with_corrected_captions(tmp_path: Path) -> None:
    write(tmp_path / "csv_files_v1" / "train.csv", AUDIOCAPS_HEADER + "1,a,1,A baby cry\n")
    write(tmp_path / "csv_files_v1" / "train_fixed.csv", AUDIOCAPS_HEADER + "1,a,1,A baby cries\n")
    write(tmp_path / "csv_files_v2" / "train.csv", AUDIOCAPS_HEADER + "1,a,1,version 2\n")
    baby = record(tmp_path / "audio_16000Hz" / "train" / "a_1.flac")
    (recording,) = find_recordings(tmp_path, "audiocaps").recordings
    assert (recording.path, recording.captions) == (baby, ("A baby cries",))


def test_audiocaps_what_is_missing_is_named(tmp_path: Path) -> None:
    assert "/csv_files_v1/train.csv: " in refusal(tmp_path, "audiocaps")
    table = write(tmp_path / "csv_files_v1" / "train.csv", AUDIOCAPS_HEADER + "1,a,1,x\n")
    assert "a_1: no such file" in refusal(tmp_path, "audiocaps")
    write(table, "audiocap_id,youtube_id,caption\n1,a,x\n")
    assert refusal(tmp_path, "audiocaps").startswith(f"{table}: no column start_time")


# --- captions


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("A dog barks, loudly!", "a dog barks loudly"),
        ("  Rain\tfalls\n on  roofs. ", "rain falls on roofs"),
        ("A dog's bark; the dogs' barks", "a dog's bark the dogs barks"),
        ("It’s ‘loud’ and 'near'", "it's loud and near"),
        ("high-pitched/low…50%", "high pitched low 50"),
        ("CAFÉ Ｎoise Straße", "café noise straße"),
        ("cafe\u0301", "café"),
        ("कुत्ता भौंकता है।", "कुत्ता भौंकता है"),
        ("' -- '", ""),
        ("", ""),
    ],
)
def test_normalised_captions(written: str, plain: str) -> None:
    assert normalise(written) == plain
    assert normalise(plain) == plain
