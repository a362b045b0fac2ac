"""What students and teachers are asked: held-back clips, and scenes of which the truth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distill.captions.caption_parser import Reader
from distill.captions.writer import load_wordings
from distill.corpus.dataset import read_clips
from distill.errors import CorpusError
from distill.evaluation.eval_set import Item, held_back_clips, items
from distill.evaluation.metrics import match_events, order_holds
from distill.scenes.noise import NOISES, RATE
from tests.made_up import PITCH, tone

WORDINGS = load_wordings()
READER = Reader(WORDINGS)
NOTHING = np.zeros(0, np.float32)


@pytest.fixture(scope="module")
def asked(corpus: Path) -> list[Item]:
    return items(corpus, WORDINGS, 3)


def test_held_back_clips_are_those_of_labels_that_are_trained_on(tmp_path: Path) -> None:
    rows = ["Bark,train", "Bark,val", "Rain,test", "Bark,test"]
    table = tmp_path / "clips.csv"
    header = "path,label,split,kind,source,licence\n"
    table.write_text(header + "".join(f"a.wav,{row},event,x,CC0\n" for row in rows))
    assert [(c.label, c.split) for c in held_back_clips(tmp_path)] == [
        ("Bark", "val"), ("Bark", "test")
    ]  # fmt: skip
    table.write_text(header + "a.wav,Bark,train,event,x,CC0\n")
    with pytest.raises(CorpusError, match="holds back no clips"):
        held_back_clips(tmp_path)


def test_scenes_of_one_label_alone_cannot_be_made(tmp_path: Path, corpus: Path) -> None:
    header = "path,label,split,kind,source,licence\n"
    rows = "".join(f"{corpus}/Bark-val-0.wav,Bark,{s},event,x,CC0\n" for s in ("train", "val"))
    (tmp_path / "clips.csv").write_text(header + rows)
    with pytest.raises(CorpusError, match="two labels"):
        items(tmp_path, WORDINGS, 3)


def test_every_held_back_clip_is_asked_by_itself(corpus: Path, asked: list[Item]) -> None:
    clips = [item for item in asked if item.kind == "clip"]
    held = [clip for clip in read_clips(corpus) if clip.split != "train"]
    assert [item.clip for item in clips] == held
    for item in clips:
        (label,) = item.labels
        expected = tone(PITCH[label], 3.0 if label == "Rain" else 0.6)
        np.testing.assert_allclose(item.audio, expected, atol=1e-3)


def test_scenes_are_of_each_kind_and_their_captions_are_true(asked: list[Item]) -> None:
    kinds = ("scene", "pair", "sequence", "quiet", "noise")
    assert [i.kind for i in asked[8:]] == [kind for kind in kinds for _ in range(3)]
    for item in asked[8:]:
        assert item.audio.shape == (5 * RATE,)
        assert len(item.references) == 5
        for reference in item.references:
            clauses = READER.read(reference)
            heard = match_events(item.labels, [clause.labels for clause in clauses])
            assert (heard.misses, heard.extras) == (0, 0), (item.labels, reference)
            if item.kind == "sequence":
                assert order_holds(item.labels, clauses)
        if item.kind == "quiet":
            assert set(item.references) <= set(WORDINGS.quiet)
            assert 20 * np.log10(np.abs(item.audio).max()) < -50.0
        assert len(item.labels) in {"scene": (1, 2, 3, 4, 5), "quiet": (0,), "noise": (1,)}.get(
            item.kind, (2,)
        )
        assert (set(item.labels) <= set(NOISES)) == (item.kind in ("quiet", "noise"))


def test_the_same_is_asked_each_time(corpus: Path, asked: list[Item]) -> None:
    for one, two in zip(asked, items(corpus, WORDINGS, 3), strict=True):
        np.testing.assert_array_equal(one.audio, two.audio)
        assert replace(one, audio=NOTHING) == replace(two, audio=NOTHING)
