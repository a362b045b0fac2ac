"""The paper's teacher, with networks so small that they take no time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soxr
import torch

pytest.importorskip("transformers")

from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BartTokenizer,
    ClapAudioConfig,
    ClapAudioModel,
    ClapFeatureExtractor,
)

from distill.errors import CorpusError
from distill.teachers.htsat_bart import (
    HtsatBart,
    clap_front_end,
    load_htsat_bart,
    random_htsat_bart,
    save_htsat_bart,
)
from edge.audio.clip import read_clip
from edge.inference.features import Floats
from tests.helpers import SAMPLE

RATE = 48_000
WORDS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"abcdefgh", "Ġ"]


def tiny_encoder(*, fusion: bool = False) -> ClapAudioModel:
    config = ClapAudioConfig(
        patch_embeds_hidden_size=4,
        hidden_size=32,
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 2, 2],
        enable_fusion=fusion,
        fusion_type="channel_map" if fusion else None,
    )
    return ClapAudioModel(config)


def tiny_model(front_end: ClapFeatureExtractor | None = None, repeats: int = 2) -> HtsatBart:
    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=len(WORDS),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        init_std=1.0,  # else every audio gets the same caption
    )
    config.update({"audio_repeats": repeats})
    tokenizer = BartTokenizer(vocab={word: i for i, word in enumerate(WORDS)}, merges=[])
    decoder = BartForConditionalGeneration(config)
    decoder.final_logits_bias[0, :5] = -1e4  # special tokens; else random captions are empty
    return HtsatBart(tiny_encoder(), decoder, front_end or clap_front_end(), tokenizer).eval()


def audio(seconds: float) -> Floats:
    """A piece of the sample at 48 kHz: quiet and loud parts, tones and noise."""
    sample = soxr.resample(read_clip(SAMPLE, 32_000), 32_000, RATE)
    return sample[: int(seconds * RATE)].astype(np.float32)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    save_htsat_bart(tiny_model(), folder)
    return folder


# --- front end


@pytest.mark.parametrize("seconds", [10.0, 7.0, 3.3, 0.001])
def test_features_are_those_of_clap(seconds: float) -> None:
    """Shorter audio too, repeated and then padded with zeros."""
    samples = audio(seconds)
    expected = clap_front_end()(samples, sampling_rate=RATE, return_tensors="pt")["input_features"]
    features = tiny_model().log_mel(torch.from_numpy(samples)[None])
    assert features.shape == expected.shape == (1, 1, 1001, 64)
    assert (features - expected).abs().max() < 1e-3  # dB; where there are only zeros, too


@pytest.mark.parametrize("truncation", ["rand_trunc", "fusion"])
def test_features_follow_the_front_end_of_the_checkpoint(truncation: str) -> None:
    front_end = ClapFeatureExtractor(
        sampling_rate=32_000, hop_length=320, padding="pad", truncation=truncation
    )
    model, samples = tiny_model(front_end), audio(2.0)
    expected = front_end(samples, sampling_rate=32_000, return_tensors="pt")["input_features"]
    features = model.log_mel(torch.from_numpy(samples)[None])
    assert model.sample_rate == 32_000
    assert (features - expected[:, :1]).abs().max() < 1e-3


@pytest.mark.parametrize("samples", [0, 10 * RATE + 1])
def test_audio_that_no_window_holds_is_refused(samples: int) -> None:
    with pytest.raises(ValueError, match="hears 1 to 480000"):
        tiny_model().log_mel(torch.zeros(1, samples))


# --- encoder and decoder


def test_memory_and_embedding_are_of_each_clip_alone() -> None:
    model = tiny_model()
    clips = torch.from_numpy(np.stack([audio(4.0), audio(8.0)[4 * RATE :]]))
    with torch.no_grad():
        embedding, memory = model.encode(clips)
        alone = model.encode(clips[1:])
    assert embedding.shape == (2, model.dim) == (2, 32)
    assert memory.shape == (2, 32, 32)
    torch.testing.assert_close(memory[1:], alone[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(embedding, memory.mean(1), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(embedding[0], embedding[1], atol=1e-3)


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("tokens", [1, 7])
def test_as_many_tokens_as_asked_for(beam: int, tokens: int) -> None:
    ids = tiny_model().generate(torch.randn(2, 32, 32), beam, tokens, min_tokens=tokens)
    assert ids.shape == (2, tokens)


def test_bart_reads_each_vector_as_often_as_the_checkpoint_says() -> None:
    """It adds positions, so that this is not the same as reading it once."""
    model, memory = tiny_model(repeats=3), torch.randn(2, 32, 32)
    by_hand = model.projection(memory)[:, :, None].expand(-1, -1, 3, -1).flatten(1, 2)
    expected = model.decoder.generate(inputs_embeds=by_hand, num_beams=2, max_new_tokens=8)
    assert torch.equal(model.generate(memory, beam=2, max_tokens=8), expected[:, 1:])


def test_loss_is_the_cross_entropy_of_the_labels_that_count() -> None:
    model = tiny_model()
    clip, labels = torch.from_numpy(audio(2.0))[None], torch.tensor([[5, 6, 2]])
    padded = torch.tensor([[5, 6, 2, -100, -100]])
    with torch.no_grad():
        loss = model(clip, labels)
        read = model.projection(model.encode(clip)[1]).repeat_interleave(2, 1)
        # BART's own rule: the decoder starts with its end token, then is given what is true
        truth = torch.tensor([[2, 5, 6]])
        logits = model.decoder(inputs_embeds=read, decoder_input_ids=truth).logits
        torch.testing.assert_close(model(clip, padded), loss)
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits[0], labels[0]))
    model(clip, labels).backward()  # it can be fine-tuned, down to its first layer
    gradient = next(model.encoder.parameters()).grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_captions_hold_no_special_tokens_and_need_a_tokenizer() -> None:
    model = tiny_model()
    captions = model.write(torch.randn(3, 32, 32), beam=2, max_tokens=8)
    assert len(captions) == 3
    assert any(captions)
    assert all(set(caption) <= set("abcdefgh ") for caption in captions)
    model.tokenizer = None
    with pytest.raises(CorpusError, match="no tokenizer"):
        model.write(torch.randn(1, 32, 32))


def test_random_model_has_the_sizes_of_the_paper() -> None:
    with torch.device("meta"):  # sizes without memory
        model = random_htsat_bart()

    def parameters(module: torch.nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    assert model.dim == 768
    assert model.sample_rate == RATE
    assert model.repeats * 32 == model.decoder.config.max_position_embeddings
    assert parameters(model.encoder) == 27_534_488
    assert parameters(model.decoder) == 139_420_416  # as BART-base is published
    assert parameters(model.projection) == 768 * 768 + 768
    assert parameters(model) == 167_545_496


# --- checkpoints


def test_what_is_saved_is_loaded(saved: Path) -> None:
    model, loaded = tiny_model(), load_htsat_bart(saved)
    clip = torch.from_numpy(audio(3.0))[None]
    with torch.no_grad():
        embedding, memory = model.encode(clip)
        again = loaded.encode(clip)
    assert torch.equal(embedding, again[0])
    assert torch.equal(memory, again[1])
    assert loaded.write(memory) == model.write(memory) != [""]
    assert loaded.repeats == 2
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


def test_front_end_is_part_of_the_checkpoint_and_else_claps(saved: Path, tmp_path: Path) -> None:
    front_end = ClapFeatureExtractor(sampling_rate=32_000, hop_length=320, truncation="rand_trunc")
    save_htsat_bart(tiny_model(front_end), tmp_path / "other")
    assert load_htsat_bart(tmp_path / "other").sample_rate == 32_000
    shutil.copytree(saved, tmp_path / "bare")
    (tmp_path / "bare/encoder/preprocessor_config.json").unlink()
    bare, given = load_htsat_bart(tmp_path / "bare"), load_htsat_bart(saved)
    assert bare.sample_rate == RATE
    assert torch.equal(bare.bands, given.bands)


def remove(path: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        target = folder / path
        shutil.rmtree(target) if target.is_dir() else target.unlink()

    return damage


def cut(path: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        data = (folder / path).read_bytes()
        (folder / path).write_bytes(data[: len(data) // 2])

    return damage


def other_kind(folder: Path) -> None:
    """All weights are there, but not of the encoder."""
    shutil.copy(folder / "decoder/model.safetensors", folder / "encoder/model.safetensors")


def fused(folder: Path) -> None:
    tiny_encoder(fusion=True).save_pretrained(folder / "encoder")


def wider(folder: Path) -> None:
    path = folder / "decoder/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"d_model": 32}))


def other_projection(folder: Path) -> None:
    shutil.copy(folder / "decoder/model.safetensors", folder / "projection.safetensors")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (remove("encoder"), "encoder"),
        (remove("encoder/config.json"), "encoder"),
        (remove("encoder/model.safetensors"), "encoder"),
        (cut("encoder/config.json"), "encoder"),
        (cut("encoder/model.safetensors"), "encoder"),
        (cut("encoder/preprocessor_config.json"), "encoder"),
        (other_kind, "encoder"),
        (fused, "encoder"),
        (remove("decoder"), "decoder"),
        (remove("decoder/tokenizer.json"), "decoder/vocab.json"),
        (cut("decoder/tokenizer.json"), "decoder"),
        (cut("decoder/model.safetensors"), "decoder"),
        (wider, "decoder"),
        (remove("projection.safetensors"), "projection.safetensors"),
        (cut("projection.safetensors"), "projection.safetensors"),
        (other_projection, "projection.safetensors"),
    ],
)
def test_damage_is_one_sentence_that_names_the_part(
    saved: Path, tmp_path: Path, damage: Callable[[Path], None], named: str
) -> None:
    folder = tmp_path / "teacher"
    shutil.copytree(saved, folder)
    damage(folder)
    with pytest.raises(CorpusError) as caught:
        load_htsat_bart(folder)
    message = str(caught.value)
    assert message.startswith(f"{folder / named}: ")
    assert "\n" not in message
    assert len(message) < len(str(folder)) + 350


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such file"):
        load_htsat_bart(tmp_path / "nowhere")


def test_nothing_is_written_without_a_tokenizer(tmp_path: Path) -> None:
    model = tiny_model()
    model.tokenizer = None
    with pytest.raises(CorpusError, match="no tokenizer"):
        save_htsat_bart(model, tmp_path / "teacher")
    assert not (tmp_path / "teacher").exists()
