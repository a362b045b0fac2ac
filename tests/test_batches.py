"""What a training step is given: words as ids, shards chosen, batches drawn and augmented."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from distill.errors import CorpusError
from distill.models.student import PAD, START
from distill.models.vocabulary import SPECIAL, Vocabulary, vocabulary_of
from distill.training.batches import Batch, Batches, augment, choose
from distill.training.config import TrainConfig, read_config
from distill.training.shard_builder import FEATURES
from distill.training.shards import read_shard, write_pseudo, write_shard
from tests.helpers import ROOT

DEFAULT = read_config(ROOT / "distill" / "experiments" / "default.yaml", TrainConfig)
PLAIN = replace(DEFAULT, batch=4, gain_db=0.0, tilt_db=0.0, mask_bands=0, mask_frames=0)
CLIPS = 5  # of a shard
VOCABULARY = Vocabulary(["clip", "loud", "soft", *(f"n{n}" for n in range(99))])


def store_of(folder: Path, shards: int, user: int = 0) -> Path:
    """`shards` of scenes, and `user` more without captions; each clip holds its own number."""
    for shard in range(shards + user):
        numbers = np.arange(shard * CLIPS, (shard + 1) * CLIPS, dtype=np.float32)
        arrays: dict[str, NDArray[np.float32]] = {
            "features": np.tile(numbers[:, None, None], (1, 60, 64)),
            "embedding": np.tile(numbers[:, None], (1, 6)),
            "memory": np.tile(numbers[:, None, None], (1, 2, 6)),
        }
        own = [[f"loud clip n{n:.0f}", f"soft clip n{n:.0f}"] for n in numbers]
        name = f"scenes-{shard:05d}" if shard < shards else f"user-0-{shard:05d}"
        captions = own if shard < shards else [[] for _ in numbers]
        write_shard(folder / "shards" / name, dict(arrays), captions)
        write_pseudo(folder / "shards" / name, [f"clip n{n:.0f}" for n in numbers])
    return folder


def batches(store: Path, rank: int = 0, **changes: float) -> Batches:
    config = replace(PLAIN, **changes)  # type: ignore[arg-type]
    return Batches(choose(store, config), VOCABULARY, config, FEATURES, rank)


def said(tokens: torch.Tensor) -> list[str]:
    return [VOCABULARY.decode(t for t in row.tolist() if t not in (PAD, START)) for row in tokens]


def same(one: Batch, two: Batch) -> bool:
    return all(
        a.shape == b.shape and torch.equal(a, b)
        for a, b in zip(vars(one).values(), vars(two).values(), strict=True)
    )


# --- words


def test_words_become_ids_and_back() -> None:
    vocabulary = Vocabulary(["a", "barks", "dog"])
    ids = vocabulary.encode("a dog barks", 8)
    assert [vocabulary.words[i] for i in ids] == [
        "<start>", "a", "dog", "barks", "<end>", "<pad>", "<pad>", "<pad>"
    ]  # fmt: skip
    assert vocabulary.decode(ids[1:]) == "a dog barks"
    assert vocabulary.encode("a dog barks", 3) == ids[:3]
    assert vocabulary.encode("a cat barks", 8)[2] == PAD  # not known, so it does not count


def test_a_batch_of_captions_is_as_long_as_it_must_be() -> None:
    vocabulary = Vocabulary(["a", "barks", "dog"])
    ids = vocabulary.batch(["a dog", "", "a dog barks"], 9)
    assert ids.tolist() == [[1, 3, 5, 2, PAD], [PAD] * 5, [1, 3, 5, 4, 2]]
    assert vocabulary.batch(["a dog barks", "a"], 3).tolist() == [[1, 3, 5], [1, 3, 2]]
    assert vocabulary.batch(["", ""], 9).tolist() == [[PAD, PAD]] * 2


def test_words_that_a_user_has_often_enough_are_learnt() -> None:
    captions = ["a zither plays", "a zither", "zither and kazoo", "kazoo"]
    vocabulary = vocabulary_of(["rain", "plays"], captions)
    assert vocabulary.words == [*SPECIAL, "plays", "rain", "zither"]
    assert Vocabulary(vocabulary.words).words == vocabulary.words


# --- shards


@pytest.mark.parametrize(
    ("captioned", "audio_only", "with_captions", "without"),
    [
        (1.0, 0.0, [0, 1, 2, 3], []),
        (0.5, 0.0, [0, 1], []),
        (0.5, 0.5, [0, 1], [2, 3]),
        (0.25, 0.25, [0], [3]),
        (0.0, 0.75, [], [1, 2, 3]),
    ],
)
def test_captions_are_taken_from_the_front_and_audio_from_the_end(
    tmp_path: Path,
    captioned: float,
    audio_only: float,
    with_captions: list[int],
    without: list[int],
) -> None:
    store = store_of(tmp_path, 4)
    shares = choose(store, replace(PLAIN, captioned=captioned, audio_only=audio_only))
    numbers = [(round(float(s.shard.embedding[0, 0])) // CLIPS, s.captioned) for s in shares]
    assert numbers == [(n, True) for n in with_captions] + [(n, False) for n in without]


def test_no_shard_is_taken_twice_where_shares_do_not_come_out_even(tmp_path: Path) -> None:
    store = store_of(tmp_path, 3)  # half of three is rounded to two
    shares = choose(store, replace(PLAIN, captioned=0.5, audio_only=0.5))
    assert sorted(float(s.shard.embedding[0, 0]) for s in shares) == [0.0, 5.0, 10.0]


def test_shares_that_overlap_or_hold_nothing_are_refused(tmp_path: Path) -> None:
    store = store_of(tmp_path, 4)
    with pytest.raises(CorpusError, match="more than all there is"):
        choose(store, replace(PLAIN, captioned=0.6, audio_only=0.5))
    with pytest.raises(CorpusError, match="hold no shard"):
        choose(store, replace(PLAIN, captioned=0.1))
    with pytest.raises(CorpusError, match="hold no shard"):
        choose(tmp_path / "none", PLAIN)


def test_a_user_s_audio_is_audio_only_and_a_damaged_shard_is_named(tmp_path: Path) -> None:
    store = store_of(tmp_path, 1, user=1)
    (store / "shards" / "scenes-00009.part").mkdir()  # of a run that was interrupted
    assert [s.captioned for s in choose(store, PLAIN)] == [True, False]
    folder = store / "shards" / "scenes-00000"
    assert read_shard(folder).captions[3] == ["loud clip n3", "soft clip n3"]
    (folder / "memory.npy").write_bytes(b"nothing")
    with pytest.raises(CorpusError, match=r"scenes-00000: is damaged .* prepare again") as caught:
        choose(store, PLAIN)
    assert "\n" not in str(caught.value)


# --- batches


def test_a_batch_holds_clips_of_one_shard_and_what_is_said_of_them(tmp_path: Path) -> None:
    data = batches(store_of(tmp_path, 3))
    drawn, words = set(), set()
    for step in range(40):
        batch = data[step]
        numbers = [round(n) for n in batch.embedding[:, 0].tolist()]
        assert len(set(numbers)) == 4  # none is drawn twice
        assert len({n // CLIPS for n in numbers}) == 1
        assert batch.features.shape == (4, 60, 64)
        assert batch.features[:, 5, 9].tolist() == numbers
        assert said(batch.pseudo) == [f"clip n{n}" for n in numbers]
        captions = [caption.split(" ", 1) for caption in said(batch.tokens)]
        assert [rest for _, rest in captions] == [f"clip n{n}" for n in numbers]
        drawn |= set(numbers)
        words |= {first for first, _ in captions}
    assert drawn == set(range(15))
    assert words == {"loud", "soft"}  # any of its references


def test_a_batch_depends_on_seed_number_and_rank_alone(tmp_path: Path) -> None:
    store = store_of(tmp_path, 3)
    one, again = batches(store, gain_db=8.0), batches(store, gain_db=8.0)
    again[0]  # what was drawn before does not matter
    assert same(one[7], again[7])
    others = [one[8], batches(store, rank=1, gain_db=8.0)[7], batches(store, seed=2)[7]]
    assert not any(same(one[7], other) for other in others)
    assert not same(one[7], batches(store)[7])  # its gain is part of it
    assert len(one) == DEFAULT.steps


def test_audio_only_has_what_the_teacher_says_and_no_captions(tmp_path: Path) -> None:
    data = batches(store_of(tmp_path, 2), captioned=0.5, audio_only=0.5)
    seen = set()
    for step in range(20):
        batch = data[step]
        audio_only = batch.embedding[0, 0] >= CLIPS  # of the second shard
        assert bool((batch.tokens == PAD).all()) == bool(audio_only)
        assert all(caption.startswith("clip n") for caption in said(batch.pseudo))
        seen.add(bool(audio_only))
    assert seen == {True, False}


# --- augmentation

FLOOR = (10.0 * np.log10(FEATURES.floor) - FEATURES.mean) / FEATURES.std


def augmented(config: TrainConfig, seed: int = 0) -> tuple[NDArray[np.float32], ...]:
    """Ten random clips, before and after."""
    before = np.random.default_rng(seed).uniform(-2.0, 2.0, (10, 200, 64)).astype(np.float32)
    after = before.copy()
    augment(np.random.default_rng(seed), after, config, FEATURES)
    return before, after


def test_without_augmentation_nothing_changes() -> None:
    before, after = augmented(PLAIN)
    np.testing.assert_array_equal(before, after)


def test_gain_and_tilt_stay_within_their_bounds() -> None:
    before, after = augmented(replace(PLAIN, gain_db=8.0, tilt_db=6.0))
    change = (after - before) * FEATURES.std
    np.testing.assert_allclose(change, np.broadcast_to(change[:, :1], change.shape), atol=1e-3)
    low, middle, high = change[:, 0, 0], change[:, 0, 31:33].mean(1), change[:, 0, -1]
    np.testing.assert_allclose(high - middle, middle - low, atol=1e-3)  # a straight line
    assert 4.0 < np.abs(middle).max() <= 8.0
    assert 3.0 < np.abs(high - middle).max() <= 6.0
    assert np.unique(middle).size == len(middle)  # each clip has its own


def test_nothing_falls_below_digital_silence() -> None:
    before = np.full((20, 30, 64), FLOOR, np.float32)
    after = before.copy()
    augment(np.random.default_rng(0), after, replace(DEFAULT, mask_bands=0), FEATURES)
    assert after.min() == np.float32(FLOOR)
    assert after.max() > FLOOR + 0.1


@pytest.mark.parametrize(("bands", "frames"), [(10, 0), (0, 40), (10, 40), (99, 999)])
def test_blanked_spans_are_one_of_each_kind_and_no_longer_than_allowed(
    bands: int, frames: int
) -> None:
    blanked = []
    for seed in range(4):
        before, after = augmented(replace(PLAIN, mask_bands=bands, mask_frames=frames), seed)
        for changed in before != after:
            rows, columns = changed.all(axis=1), changed.all(axis=0)
            np.testing.assert_array_equal(changed, rows[:, None] | columns)
            for span in (rows, columns):
                assert np.abs(np.diff(np.pad(span, 1).astype(int))).sum() in (0, 2)
            blanked.append((rows.sum(), columns.sum()))
    most = np.max(blanked, axis=0)
    assert most[0] <= min(frames, 200 // 3)  # never more than a third
    assert most[1] <= min(bands, 64 // 3)
    assert (most >= 0.7 * np.array([min(frames, 200 // 3), min(bands, 64 // 3)])).all()
