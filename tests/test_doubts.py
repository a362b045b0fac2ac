"""Doubtful labels: out-of-fold probes, the rule that decides, and the pages."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distill.cli import main
from distill.probe.clips import ProbeClip
from distill.probe.doubt_pages import decisions
from distill.probe.doubts import Doubt, decide, find_doubts
from distill.probe.out_of_fold import FOLDS, folds, out_of_fold
from distill.probe.run import load
from tests.made_up import write_tagger
from tests.test_probe import ONTOLOGY, QUICK, bands, corpus_of

CLASSES = ["Bark", "Cough", "Rain", "Speech", *(f"class {i}" for i in range(16))]
AUDIOSET = {"Bark": ("Bark",), "Howl": ("Howl",), "Cough": ("Cough",), "Rain": ("Rain",)}


def clip(path: str, label: str = "Bark", source: str = "games", split: str = "train") -> ProbeClip:
    group = ONTOLOGY.group_of[label]
    return ProbeClip(Path(), path, label, group, False, "", source, path, 0.0, 6.0, split)


def mislabelled(folder: Path) -> Path:
    """Ten tones of each label; one cough of train and one of test are called a bark."""
    rows = []
    for label, hz in (("Bark", 700.0), ("Cough", 3000.0), ("Rain", 9000.0)):
        rows += [(label, hz * (1 + 0.01 * i), f"source {i}", "train", 0.5) for i in range(10)]
    rows[0] = ("Bark", 3050.0, "games", "train", 0.5)
    rows.append(("Bark", 3070.0, "held back", "test", 0.5))
    return corpus_of(folder, rows)


def test_takes_of_one_session_share_a_fold() -> None:
    clips = [clip(f"{name}/step{i}.wav") for name in "abcdefgh" for i in range(3)]
    found = folds(clips)
    assert {len({*found[3 * i : 3 * i + 3]}) for i in range(8)} == {1}
    assert {*found} == {*range(FOLDS)}
    # A label of a single session would be in no other fold.
    one = folds([clip(f"step{i}.wav") for i in range(10)])
    assert np.bincount(one).tolist() == [2] * FOLDS
    excerpts = folds(
        [replace(clip(f"long{i}.wav"), start_s=s) for i in range(7) for s in (0.0, 9.0)]
    )
    assert (excerpts[::2] == excerpts[1::2]).all()


def test_a_false_label_is_found_and_test_clips_are_not_judged(tmp_path: Path) -> None:
    data = load(mislabelled(tmp_path), ONTOLOGY, {}, bands, "bands")
    judged, labels, said = out_of_fold(data, QUICK)
    assert judged == [*range(30)]
    assert labels == ["Bark", "Cough", "Rain"]
    assert labels[int(said[0].argmax())] == "Cough"
    np.testing.assert_allclose(said.sum(1), 1.0, rtol=1e-5)
    logits = np.zeros((len(data.windows.clip), len(CLASSES)), np.float32)
    logits[:, 4:] = 1.0
    logits[data.windows.clip == 0, 1] = 2.0  # the tagger hears a cough, too
    (doubt,) = find_doubts(data, logits, CLASSES, AUDIOSET, frozenset(), QUICK)
    assert (doubt.clip.path, doubt.clip.label) == ("0.wav", "Bark")
    assert doubt.tags[0] == "Cough"
    assert not doubt.compatible
    assert doubt.decision == "drop"
    (row,) = decisions([doubt])
    assert (row.source, row.source_path, row.excerpt_start_s) == ("games", "clip0.wav", "0")
    assert (row.label, row.decision, row.new_label) == ("Bark", "drop", "")
    assert decide(doubt, AUDIOSET, frozenset({"games"})) == ("keep", "")


@pytest.mark.parametrize(
    ("label_p", "group_p", "best", "tags", "decision"),
    [
        (0.01, 0.02, 0.9, ("Cough", "Rain"), ("relabel", "Cough")),
        (0.01, 0.02, 0.7, ("Cough", "Rain"), ("drop", "")),  # the probe is not sure
        (0.01, 0.02, 0.9, ("Rain", "Speech", "Cough"), ("drop", "")),  # nor is the tagger
        (0.06, 0.07, 0.9, ("Cough", "Rain"), ("keep", "")),  # the label is possible
        (0.01, 0.20, 0.8, ("Cough", "Rain"), ("keep", "")),  # the group is possible
        (0.01, 0.02, 0.9, ("Cough", "Bark"), ("keep", "")),  # the tagger hears the label
        (0.01, 0.02, 0.9, ("Cough", "Howl"), ("keep", "")),  # or its group
    ],
)
def test_the_rule(
    label_p: float, group_p: float, best: float, tags: tuple[str, ...], decision: tuple[str, str]
) -> None:
    agreeing = {"Bark", "Howl"}
    doubt = Doubt(clip("a.wav"), label_p, group_p, (("Cough", best),), tags,
                  not agreeing.isdisjoint(tags))  # fmt: skip
    assert decide(doubt, AUDIOSET, frozenset()) == decision
    short = replace(doubt, clip=replace(doubt.clip, duration_s=1.0))
    assert decide(short, AUDIOSET, frozenset())[0] == decision[0].replace("relabel", "drop")
    assert decide(doubt, AUDIOSET, frozenset({"Bark"})) == ("keep", "")
    assert decide(doubt, {"Cough": ("Cough",)}, frozenset()) == ("keep", ""), "AudioSet has no name"


def test_the_command_writes_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teacher, corpus = write_tagger(tmp_path / "teacher"), mislabelled(tmp_path / "corpus")
    with open(teacher / "audioset_labels.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["display_name"])
        table.writerows([f"class {i}"] for i in range(527))
    out = tmp_path / "pages"
    # The random tagger's embedding tells nothing; the stored ones of another encoder do.
    load(corpus, ONTOLOGY, {}, lambda audio: np.repeat(bands(audio), 12, 1), "teacher")
    arguments = ["corpus", "doubts", str(corpus), "--teacher", str(teacher), "--out", str(out)]
    assert main(arguments) == 0
    assert "doubtful clips" in capsys.readouterr().out
    with open(out / "doubts.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows if row["label"] == "Bark"] == ["0.wav"]
    assert (out / "bark.png").read_bytes().startswith(b"\x89PNG")
    with open(out / "decisions.csv", newline="", encoding="utf-8") as file:
        decided = list(csv.DictReader(file))
    assert [row["source_path"] for row in decided if row["label"] == "Bark"] == ["clip0.wav"]
    assert not [row for row in rows if row["source"] == "held back"]
