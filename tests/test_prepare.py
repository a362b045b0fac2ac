"""`aac-distill prepare`: what it makes of a corpus and a user's recordings, and that it resumes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from distill.captions.caption_parser import Reader
from distill.captions.caption_parser import vocabulary as words_of
from distill.captions.writer import load_wordings
from distill.cli import main
from distill.teachers.tagger import EMBEDDING_DIM
from distill.training.shard_builder import FEATURES
from distill.training.shards import read_about, read_shard, shard_folders
from tests.made_up import PITCH, SMALL, experiment, prepare, state, the_line

pytestmark = pytest.mark.usefixtures("one_thread")

Capture = pytest.CaptureFixture[str]


# --- scenes


def test_scenes_have_captions_that_name_the_labels_of_the_corpus(prepared: Path) -> None:
    folders = shard_folders(prepared)
    assert [folder.name for folder in folders] == ["scenes-00000", "scenes-00001"]
    reader = Reader(load_wordings())
    names: set[str] = set()
    for folder in folders:
        shard = read_shard(folder)
        assert shard.features.shape == (3, FEATURES.frames(2 * FEATURES.sample_rate), 64)
        assert shard.embedding.shape == (3, EMBEDDING_DIM)
        assert shard.memory.shape == (3, 7, EMBEDDING_DIM)
        np.testing.assert_allclose(shard.embedding, shard.memory.mean(1), atol=2e-3)
        assert len(shard.pseudo) == 3
        for captions in shard.captions:
            assert len(captions) == SMALL["data"]["references"]
            for caption in captions:
                for labels in reader.labels(caption):
                    assert labels & {*PITCH, "White noise", "Pink noise", "Brown noise"}
                    names |= labels & set(PITCH)
    assert len(names) >= 2
    one, two = (read_shard(folder).features for folder in folders)
    assert not np.array_equal(one, two)


def test_what_the_data_was_made_of_is_written_down(prepared: Path) -> None:
    about = read_about(prepared)
    assert about["teacher"] == "audioset-trm"
    assert about["data"] == {
        "clips": 8,  # of the split train
        "sources": [{"source": "made up", "licence": "CC0", "clips": 8}],
    }
    assert about["words"][3:] == sorted(words_of(load_wordings()))
    assert about["quiet_captions"] == load_wordings().quiet
    assert about["config"]["scenes"] == 6
    assert len(about["calibration"]) == 8
    assert all(Path(path).is_file() for path in about["calibration"])


def test_what_is_made_is_not_made_again(
    prepared: Path, corpus: Path, tagger: Path, tmp_path: Path
) -> None:
    """Then again after a shard and what the teacher says were lost: that alone, and the same."""
    store = tmp_path / "data"
    shutil.copytree(prepared, store)
    before = state(store)
    assert len(before) == 2 + 2 * 5  # the claim, the teacher, two shards
    assert prepare(tmp_path, corpus, tagger, store) == 0
    assert state(store) == before

    shutil.rmtree(store / "shards" / "scenes-00001")
    (store / "shards" / "scenes-00000" / "pseudo.json").unlink()
    (store / "shards" / "scenes-00001.part").mkdir()  # of a run that was interrupted
    assert prepare(tmp_path, corpus, tagger, store) == 0
    after = state(store)
    assert after.keys() == before.keys()
    kept = {n for n in before if "scenes-00001" not in n and "pseudo" not in n}
    assert {name for name in before if before[name] == after[name]} == kept
    for folder in shard_folders(store):
        one, two = read_shard(prepared / "shards" / folder.name), read_shard(folder)
        np.testing.assert_array_equal(one.features, two.features)
        assert (one.captions, one.pseudo) == (two.captions, two.pseudo)


def test_a_corpus_of_two_labels_is_enough(corpus: Path, tagger: Path, tmp_path: Path) -> None:
    """Most scenes of a larger one have more."""
    place = tmp_path / "corpus"
    shutil.copytree(corpus, place)
    rows = (place / "clips.csv").read_text().splitlines(keepends=True)
    (place / "clips.csv").write_text("".join(r for r in rows if r.startswith(("path", "B", "R"))))
    assert prepare(tmp_path, place, tagger, tmp_path / "data", scenes=12, shard=12) == 0
    reader = Reader(load_wordings())
    (folder,) = shard_folders(tmp_path / "data")
    said = [caption for captions in read_shard(folder).captions for caption in captions]
    assert max(len(reader.labels(caption)) for caption in said) == 2


# --- what is missing


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        ("clips.csv", "clips.csv: no such file; give the folder that holds clips.csv"),
        ("Bark-train-0.wav", "Bark-train-0.wav: no such file"),
        ("mn04_as_mAP_432.pt", "mn04_as_mAP_432.pt: no such file"),
        ("data.yaml", "data.yaml: cannot be read (No such file or directory)"),
    ],
)
def test_missing_data_is_one_line(
    corpus: Path, tagger: Path, tmp_path: Path, missing: str, says: str, capsys: Capture
) -> None:
    place = tmp_path / "place"
    for folder in (corpus, tagger):
        shutil.copytree(folder, place, dirs_exist_ok=True)
    config = experiment(place, "data")
    (place / missing).unlink()
    arguments = ["--corpus", str(place), "--teacher", str(place), "--out", str(tmp_path / "data")]
    assert main(["prepare", str(config), *arguments]) == 2
    assert says in the_line(capsys.readouterr().err)


def test_what_cannot_be_used_is_one_line(
    corpus: Path, tagger: Path, tmp_path: Path, capsys: Capture
) -> None:
    place = tmp_path / "corpus"
    shutil.copytree(corpus, place)
    with open(place / "clips.csv", "a", encoding="utf-8") as file:
        file.write("Bark-train-0.wav,Unicorn,event,made up,CC0,train\n")
    assert prepare(tmp_path, place, tagger, tmp_path / "data") == 2
    assert "has labels without wordings: Unicorn" in the_line(capsys.readouterr().err)
    for given, says in (("kaggle:/", "kaggle: is not a layout"), ("csv:/no", "no such folder")):
        assert prepare(tmp_path, corpus, tagger, tmp_path / "data", "--recordings", given) == 2
        assert says in the_line(capsys.readouterr().err)
    (tmp_path / "file").write_text(json.dumps({}))
    assert prepare(tmp_path, corpus, tagger, tmp_path / "file") == 2
    assert f"{tmp_path}/file: cannot be written" in the_line(capsys.readouterr().err)


def test_a_folder_with_other_data_is_refused(
    prepared: Path, corpus: Path, tagger: Path, tmp_path: Path, capsys: Capture
) -> None:
    """Else scenes of two experiments would lie side by side."""
    out = tmp_path / "data"
    shutil.copytree(prepared, out)
    before = state(out)
    assert prepare(tmp_path, corpus, tagger, out, seed=77) == 2
    assert the_line(capsys.readouterr().err) == (
        f"{out}: was begun with another config; give another folder"
    )
    assert state(out) == before
