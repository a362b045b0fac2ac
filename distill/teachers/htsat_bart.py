"""The paper's teacher: an HTSAT audio encoder whose memory a BART-base reads and captions.

Xu et al., *Efficient Audio Captioning with Encoder-Level Knowledge Distillation*, arXiv 2407.14329;
HTSAT: Chen et al., ICASSP 2022, as CLAP has it (Wu et al., ICASSP 2023); how BART is joined to it:
Mei et al., *WavCaps*, 2023. A teacher is a folder, as `save_htsat_bart` writes it:

    encoder/                  ClapAudioModel.save_pretrained, of a model without fusion;
                              preprocessor_config.json if its front end is not CLAP's 48 kHz one
    decoder/                  BartForConditionalGeneration.save_pretrained, and a tokenizer's files
    projection.safetensors    `weight` and `bias` of the linear layer that joins them
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    ClapAudioConfig,
    ClapAudioModel,
    ClapFeatureExtractor,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from distill.captions.english import normalise
from distill.errors import CorpusError

REPEATS = 32  # BART reads each memory vector so often (WavCaps), else `audio_repeats` of its config
Model = TypeVar("Model", ClapAudioModel, BartForConditionalGeneration)


def clap_front_end() -> ClapFeatureExtractor:
    """CLAP's without fusion: 48 kHz, 1024 samples each 480, 64 Slaney bands of 50 to 14000 Hz."""
    return ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc")


class HtsatBart(nn.Module):
    """Waveforms to embeddings, memory, captions; `front_end` is only the constants of `log_mel`."""

    name = "htsat-bart"
    longest_s = 10.0
    window: Tensor
    bands: Tensor

    def __init__(
        self,
        encoder: ClapAudioModel,
        decoder: BartForConditionalGeneration,
        front_end: ClapFeatureExtractor,
        tokenizer: PreTrainedTokenizerBase | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.front_end, self.tokenizer = front_end, tokenizer
        self.sample_rate: int = front_end.sampling_rate
        self.dim: int = encoder.audio_encoder.num_features
        self.repeats: int = getattr(decoder.config, "audio_repeats", REPEATS)
        self.projection = nn.Linear(self.dim, decoder.model.shared.embedding_dim)
        fusion = front_end.truncation == "fusion"  # ClapFeatureExtractor has two kinds of bands
        bands = front_end.mel_filters if fusion else front_end.mel_filters_slaney
        # double precision, as the reference: single is up to 0.01 dB off beside a loud tone
        window = torch.hann_window(front_end.fft_window_size, dtype=torch.float64)
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("bands", torch.from_numpy(bands.T.copy()), persistent=False)

    def log_mel(self, audio: Tensor) -> Tensor:
        """Features of `audio` (batch, samples at `sample_rate`) in dB; (batch, 1, frames, 64).

        Always of 10 s: shorter audio is repeated as often as it fits whole, then zeros follow, as
        CLAP was trained ("repeatpad").

        Raises: ValueError if it is empty or longer than 10 s.
        """
        samples, full = audio.shape[1], self.front_end.nb_max_samples
        if not 0 < samples <= full:
            raise ValueError(f"{samples} samples; this model hears 1 to {full} of them")
        if self.front_end.padding == "repeatpad":
            audio = audio.repeat(1, full // samples)
        audio = nn.functional.pad(audio, (0, full - audio.shape[1])).double()
        hop = self.front_end.hop_length
        spectrum = torch.stft(audio, len(self.window), hop, window=self.window, return_complex=True)
        mel = self.bands @ (spectrum.real**2 + spectrum.imag**2)
        return (10.0 * torch.log10(mel.clamp(min=1e-10))).mT[:, None].float()

    def encode(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Clip embeddings (batch, `dim`) and memory (batch, 32, `dim`) of `audio`, see `log_mel`.

        A vector of the memory stands for 0.31 s: HTSAT's last map, its mean over frequency.
        """
        out = self.encoder(self.log_mel(audio))
        return out.pooler_output, out.last_hidden_state.mean(2).mT

    def _read(self, memory: Tensor) -> Tensor:
        """What BART's encoder is given; shape = (batch, length * repeats, d_model)."""
        return self.projection(memory).repeat_interleave(self.repeats, dim=1)

    def generate(self, memory: Tensor, beam: int, max_tokens: int, min_tokens: int = 0) -> Tensor:
        """Token ids by beam search, without the start token; shape = (batch, at most `max_tokens`).

        `min_tokens`: none ends before; if it is `max_tokens`, all have exactly so many, for timing.
        """
        ids = self.decoder.generate(
            inputs_embeds=self._read(memory),
            num_beams=beam,
            do_sample=False,
            max_new_tokens=max_tokens,
            min_new_tokens=min_tokens,
        )
        return ids[:, 1:]

    def write(self, memory: Tensor, beam: int = 3, max_tokens: int = 24) -> list[str]:
        """Captions of `memory` (batch, length, `dim`), by beam search; words alone, in lower case.

        Raises: CorpusError if the model has no tokenizer, as a random one.
        """
        if self.tokenizer is None:
            raise CorpusError(f"{self.name}: no tokenizer; load a checkpoint that has one")
        ids = self.generate(memory, beam, max_tokens)
        texts = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [normalise(text) for text in texts]

    def forward(self, audio: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy of `labels` (batch, tokens; -100 where none), teacher-forced."""
        return self.decoder(inputs_embeds=self._read(self.encode(audio)[1]), labels=labels).loss


def random_htsat_bart(seed: int = 0) -> HtsatBart:
    """The paper's sizes with random weights, frozen: for speed only, what it writes is noise."""
    layers = {"encoder_layers": 6, "decoder_layers": 6}
    heads = {"encoder_attention_heads": 12, "decoder_attention_heads": 12}
    widths = {"d_model": 768, "encoder_ffn_dim": 3072, "decoder_ffn_dim": 3072}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = BartForConditionalGeneration(BartConfig.from_dict(layers | heads | widths))
        encoder = ClapAudioModel(ClapAudioConfig())  # its defaults are the HTSAT of the paper
        model = HtsatBart(encoder, decoder, clap_front_end())
    return model.eval().requires_grad_(False)


def _load_weights(kind: type[Model], folder: Path) -> Model:
    options: dict[str, Any] = {"local_files_only": True, "use_safetensors": True}
    options |= {"ignore_mismatched_sizes": True, "output_loading_info": True}
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.log_levels["error"])  # else it prints tables of what it makes up
    try:
        loaded: Any = kind.from_pretrained(folder, dtype=torch.float32, **options)
    finally:
        logging.set_verbosity(verbosity)
    if wrong := {*loaded[1]["missing_keys"], *(key for key, *_ in loaded[1]["mismatched_keys"])}:
        raise ValueError(f"{len(wrong)} weights are missing or of other sizes, as {min(wrong)}")
    return loaded[0]


def load_htsat_bart(folder: Path) -> HtsatBart:
    """The teacher in `folder` (for what is in it, see above), in evaluation mode and frozen.

    Raises: CorpusError if a part of it is missing or damaged.
    """
    words = "tokenizer.json" if (folder / "decoder/tokenizer.json").exists() else "vocab.json"
    # transformers would look for a missing folder on its hub, and make up a missing vocabulary
    for part in ("encoder", "decoder", f"decoder/{words}", "projection.safetensors"):
        if not (folder / part).exists():
            raise CorpusError(f"{folder / part}: no such file; give the folder of an HTSAT-BART")
    path = folder / "encoder"
    try:
        encoder = _load_weights(ClapAudioModel, path)
        if encoder.config.enable_fusion:
            raise ValueError("it has feature fusion; take a model without")
        front_end = clap_front_end()
        if (path / "preprocessor_config.json").exists():
            front_end = ClapFeatureExtractor.from_pretrained(path, local_files_only=True)
        path = folder / "decoder"
        decoder = _load_weights(BartForConditionalGeneration, path)
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        model = HtsatBart(encoder, decoder, front_end, tokenizer)
        path = folder / "projection.safetensors"
        model.projection.load_state_dict(load_file(path))
    except Exception as error:  # what transformers' readers raise is of every kind
        reason = " ".join(str(error).split())[:200]
        raise CorpusError(f"{path}: not a usable part of an HTSAT-BART: {reason}") from error
    return model.eval().requires_grad_(False)


def save_htsat_bart(model: HtsatBart, folder: Path) -> None:
    """Write `model` as a folder that `load_htsat_bart` reads.

    Raises: CorpusError if it has no tokenizer, for nobody could read what it writes.
    """
    if model.tokenizer is None:
        raise CorpusError(f"{folder}: not written, for the model has no tokenizer; give it BART's")
    model.encoder.save_pretrained(folder / "encoder")
    model.front_end.save_pretrained(folder / "encoder")
    model.decoder.save_pretrained(folder / "decoder")
    model.tokenizer.save_pretrained(folder / "decoder")
    save_file(model.projection.state_dict(), folder / "projection.safetensors")
