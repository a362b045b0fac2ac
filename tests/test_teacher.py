"""The teacher: its tagger against reference outputs, its search against a naive one, its file."""

from __future__ import annotations

import io
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from distill.errors import CorpusError
from distill.models.beam_search import beam_search
from distill.models.student import END, PAD, START, Decoder, StudentSpec
from distill.models.vocabulary import Vocabulary
from distill.teachers.audioset_trm import AudioSetTrm
from distill.teachers.decoder_training import train_decoder
from distill.teachers.tagger import EMBEDDING_DIM, Tagger, load_classes, load_tagger
from distill.training.config import DataConfig, read_config
from distill.training.shards import Shard
from tests.helpers import ROOT
from tests.made_up import experiment

TEACHER = ROOT.parent / "shared" / "teacher"

pytestmark = pytest.mark.usefixtures("one_thread")


# --- the tagger


def test_the_tagger_has_the_published_size() -> None:
    assert sum(p.numel() for p in Tagger().parameters()) == 983_599


@pytest.mark.skipif(not TEACHER.exists(), reason="needs the teacher's checkpoint (training data)")
def test_the_tagger_gives_the_reference_outputs() -> None:
    reference = json.loads((TEACHER / "reference_outputs.json").read_text())
    t = np.arange(320_000) / 32_000
    noise = np.random.default_rng(0).standard_normal(320_000)
    signal = 0.3 * np.sin(2 * np.pi * (200 * t + 0.5 * 380 * t**2)) + 0.05 * noise
    audio = torch.from_numpy(signal.astype(np.float32))[None]
    tagger = load_tagger(TEACHER)
    features = tagger.log_mel(audio)
    assert list(features.shape[1:]) == reference["mel_shape"]
    assert features.mean().item() == pytest.approx(reference["mel_mean"], abs=1e-3)
    assert features.std().item() == pytest.approx(reference["mel_std"], abs=1e-3)
    embedding, logits = tagger(audio)
    np.testing.assert_allclose(embedding[0, :8], reference["embedding_first8"], atol=1e-3)
    assert embedding.norm().item() == pytest.approx(reference["embedding_norm"], abs=1e-3)
    for index, value in reference["top_logits"].items():
        assert logits[0, int(index)].item() == pytest.approx(value, abs=1e-3)
    assert len(load_classes(TEACHER)) == logits.shape[1] == 527


def test_a_tagger_that_is_not_there_or_damaged_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mn04_as_mAP_432.pt"
    with pytest.raises(CorpusError, match=r"mn04_as_mAP_432\.pt: no such file"):
        load_tagger(tmp_path)
    for content in (b"", b"this is text\n", bytes(99)):
        path.write_bytes(content)
        with pytest.raises(CorpusError, match=r"mn04_as_mAP_432\.pt: is damaged"):
            load_tagger(tmp_path)


# --- its search


def decoder_of(words: int, tokens: int, seed: int) -> tuple[Decoder, Tensor]:
    """A decoder with random values and memories of four clips.

    As initialised, it would repeat each word for ever: its output is near its input.
    """
    torch.manual_seed(seed)
    spec = StudentSpec(words, width=32, hidden=64, max_tokens=tokens)
    decoder = Decoder(spec, 16).eval()
    for module in decoder.layers.modules():
        if isinstance(module, torch.nn.LayerNorm):
            torch.nn.init.normal_(module.weight)
    return decoder, 3.0 * torch.randn(4, 6, 16)


@torch.inference_mode()
def log_probabilities(decoder: Decoder, memory: Tensor, tokens: list[int]) -> Tensor:
    """Of the word after the start and `tokens`; all computed anew, without a cache."""
    logits = decoder(memory[None], torch.tensor([[START, *tokens]]))[0, -1]
    logits[[PAD, START]] = -torch.inf
    return logits.log_softmax(0)


def score(decoder: Decoder, memory: Tensor, tokens: list[int]) -> float:
    """Mean log-probability of `tokens`, the end among them if it is there."""
    steps = [log_probabilities(decoder, memory, tokens[:i])[t] for i, t in enumerate(tokens)]
    return float(sum(steps)) / len(tokens)


def naive_beam_search(decoder: Decoder, memory: Tensor, beam: int) -> list[int]:
    """Lists of tokens, one clip: the best `beam` of all their continuations, at each step."""
    beams: list[tuple[list[int], float]] = [([], 0.0)]
    for _ in range(decoder.spec.max_tokens):
        grown = []
        for tokens, total in beams:
            if tokens and tokens[-1] == END:
                grown.append((tokens, total))
                continue
            steps = log_probabilities(decoder, memory, tokens).tolist()
            grown += [([*tokens, w], total + p) for w, p in enumerate(steps) if p > -math.inf]
        beams = sorted(grown, key=lambda grown: grown[1], reverse=True)[:beam]
    best, _ = max(beams, key=lambda ended: ended[1] / len(ended[0]))
    return [token for token in best if token != END]


@pytest.mark.parametrize("beam", [1, 2, 3, 5])
def test_beam_search_finds_what_a_naive_one_finds(beam: int) -> None:
    lengths = set()
    for seed in range(6):
        decoder, memory = decoder_of(9, 7, seed)
        found = beam_search(decoder, memory, beam)
        assert found == [naive_beam_search(decoder, clip, beam) for clip in memory]
        lengths |= {len(row) for row in found}
    assert lengths >= {0, 2, 7}  # ended at once, later, and cut off


def test_a_beam_that_holds_everything_finds_the_best_sequence_of_all() -> None:
    decoder, memory = decoder_of(5, 3, 0)
    short = [[*row, END] for n in range(3) for row in itertools.product([3, 4], repeat=n)]
    whole = short + [list(row) for row in itertools.product([3, 4], repeat=3)]
    for clip, found in zip(memory, beam_search(decoder, memory, len(whole)), strict=True):
        scores = [score(decoder, clip, row) for row in whole]
        best = whole[int(np.argmax(scores))]
        assert found == [token for token in best if token != END]


def test_a_beam_of_one_takes_the_likeliest_word_each_time() -> None:
    for seed in range(4):
        decoder, memory = decoder_of(30, 8, seed)
        for clip, found in zip(memory, beam_search(decoder, memory, 1), strict=True):
            tokens: list[int] = []
            while len(tokens) < 8 and END not in tokens:
                tokens.append(int(log_probabilities(decoder, clip, tokens).argmax()))
            assert found == [t for t in tokens if t != END]


def test_a_wider_beam_finds_likelier_captions() -> None:
    """Or it would be of no use; by the measure that it ranks with."""
    gain = 0.0
    for seed in range(6):
        decoder, memory = decoder_of(9, 7, seed)
        for clip, greedy, wide in zip(
            memory, beam_search(decoder, memory, 1), beam_search(decoder, memory, 4), strict=True
        ):
            gain += score(decoder, clip, [*wide, END][:7]) - score(
                decoder, clip, [*greedy, END][:7]
            )
    assert gain > 0.1


# --- the teacher


def teacher_of(*words: str) -> AudioSetTrm:
    torch.manual_seed(0)
    return AudioSetTrm(Tagger().eval(), Vocabulary(list(words)))


def test_the_embedding_is_the_mean_of_the_memory() -> None:
    teacher = teacher_of("a")
    teacher.tagger.train()  # random values give something only if they are normalised
    with torch.inference_mode():
        embedding, memory = teacher.encode(0.1 * torch.randn(2, 64_000))
    assert memory.shape == (2, 7, EMBEDDING_DIM)  # 2 s
    assert memory.std(1).mean() > 0.01  # or its mean would be any part of it
    torch.testing.assert_close(embedding, memory.mean(1))


def test_a_decoder_learns_what_is_said_of_its_clips(tmp_path: Path) -> None:
    """And is then saved, read back, and says the same."""
    config = read_config(
        experiment(tmp_path, "data", teacher_steps=50, teacher_batch=8), DataConfig
    )
    captions = ["a dog barks", "rain falls then a dog barks", "it is quiet"]
    memory = np.random.default_rng(0).standard_normal((4, 4, EMBEDDING_DIM)).astype(np.float16)
    said = [*([text] for text in captions), []]  # of the last there is only audio
    shards = [
        Shard(memory, memory.mean(1), memory, said, []),
        Shard(-memory, -memory.mean(1), -memory, [[], [], [], []], []),
    ]
    teacher = teacher_of(*sorted({word for text in captions for word in text.split()}))
    heard = torch.from_numpy(memory[:3].astype(np.float32))
    assert teacher.write(heard) != captions
    train_decoder(teacher, shards, config, torch.device("cpu"))
    assert teacher.write(heard) == captions

    teacher.save(tmp_path / "teacher.pt")
    assert not list(tmp_path.glob("*.part"))
    loaded = AudioSetTrm.load(tmp_path / "teacher.pt", teacher.tagger)
    assert loaded.vocabulary.words == teacher.vocabulary.words
    assert loaded.write(heard) == captions


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    path, teacher = tmp_path / "teacher.pt", teacher_of("a", "b")
    with pytest.raises(CorpusError, match=r"teacher\.pt: no such file; aac-distill prepare"):
        AudioSetTrm.load(path, teacher.tagger)
    teacher.save(path)
    whole = path.read_bytes()
    contents = [b"", b"this is text\n", whole[: len(whole) // 2], whole[:-40]]
    for other in ([1, 2], {}, {"words": ["a"], "decoder": {}}, {"words": 3, "decoder": {}}):
        buffer = io.BytesIO()
        torch.save(other, buffer)
        contents.append(buffer.getvalue())
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(CorpusError) as caught:
            AudioSetTrm.load(path, teacher.tagger)
        assert str(caught.value) == f"{path}: is damaged; remove it and prepare again"
