"""The paper's published students: their layout with random values, and a plain computation of them.

Nothing here is shared with `export`: what is imported must agree with it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

State = dict[str, Tensor]
Norm = Callable[[str, Tensor], Tensor]

RATE, FFT, HOP, MELS = 16_000, 512, 160, 64
PAD, START, END = 0, 1, 2
LONGEST = 20  # tokens of a caption
HEADS = 4
FILTERS = 1408  # of the encoder's last map
IMAGE = 260  # pixels that EfficientNet-B2 was made for
# repeats, kernel, stride, expansion, channels
B2 = [
    (2, 3, 1, 1, 16),
    (3, 3, 2, 6, 24),
    (3, 5, 2, 6, 48),
    (4, 3, 2, 6, 88),
    (4, 5, 1, 6, 120),
    (5, 5, 2, 6, 208),
    (2, 3, 1, 6, 352),
]
STEM = 32
NETWORK = "model.model.encoder.backbone.eff_net."
MEL = "model.model.encoder.melspec_extractor."
DECODER = "model.model.decoder."
INNER = DECODER + "model."
PROJECTION = ("0.weight", "0.bias", "3.weight", "3.bias")


def signal(k: int, samples: int = 10 * RATE) -> NDArray[np.float32]:
    """A sweep that comes and goes, in noise; another one for each `k`."""
    n = 10 * RATE
    t = np.arange(n) / RATE
    sweep = np.sin(2 * np.pi * (100 * (k + 1) * t + 0.5 * (300 + 50 * k) * t**2))
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * 0.7 * (k + 1) * t)
    noise = np.random.default_rng(k).standard_normal(n)
    return (0.2 * sweep * swell + 0.02 * noise).astype(np.float32)[:samples]


# --- the original computation


def log_mel(state: State, samples: Tensor) -> Tensor:
    """What the network sees of `samples` (n,); shape = (1, 1, 64, 1 + n // 160)."""
    spectrum = torch.stft(
        samples,
        FFT,
        HOP,
        window=state[MEL + "spectrogram.window"],
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    power = state[MEL + "mel_scale.fb"].T @ spectrum.abs() ** 2
    level = 10.0 * torch.log10(power.clamp(min=1e-10))
    return level.clamp(min=level.max() - 120.0)[None, None]


def normalise(state: State, name: str, x: Tensor) -> Tensor:
    """`x` through the batch norm `name`."""
    mean, var = state[name + ".running_mean"], state[name + ".running_var"]
    return F.batch_norm(x, mean, var, state[name + ".weight"], state[name + ".bias"], eps=1e-3)


def encode(state: State, x: Tensor, norm: Norm) -> Tensor:
    """EfficientNet-B2's last map of `x`, padded for images; shape = (1, 1408, 2, ~frames / 32)."""

    def conv(name: str, x: Tensor, stride: int = 1, groups: int = 1, size: int = 1) -> Tensor:
        weight = state[f"{NETWORK}{name}.weight"]
        kernel = weight.shape[-1]
        pad = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
        x = F.pad(x, [pad // 2, pad - pad // 2] * 2)
        return F.conv2d(x, weight, state.get(f"{NETWORK}{name}.bias"), stride, groups=groups)

    size, number = IMAGE, 0
    x = F.silu(norm(NETWORK + "_bn0", conv("_conv_stem", x, 2, size=size)))
    size = math.ceil(size / 2)
    for repeats, _, first, expansion, _ in B2:
        for i in range(repeats):
            stride, block, given = first if i == 0 else 1, f"_blocks.{number}.", x
            if expansion > 1:
                x = F.silu(norm(f"{NETWORK}{block}_bn0", conv(block + "_expand_conv", x)))
            x = conv(block + "_depthwise_conv", x, stride, x.shape[1], size)
            x = F.silu(norm(f"{NETWORK}{block}_bn1", x))
            squeezed = conv(block + "_se_reduce", F.adaptive_avg_pool2d(x, 1))
            x = x * torch.sigmoid(conv(block + "_se_expand", F.silu(squeezed)))
            x = norm(f"{NETWORK}{block}_bn2", conv(block + "_project_conv", x))
            if stride == 1 and x.shape == given.shape:
                x = x + given
            size, number = math.ceil(size / stride), number + 1
    return F.silu(norm(NETWORK + "_bn1", conv("_conv_head", x)))


def stack(state: State, layers: int) -> nn.TransformerDecoder:
    """The decoder's layers, of the sizes in `state`."""
    hidden, width = state[DECODER + "model.layers.0.linear1.weight"].shape
    layer = nn.TransformerDecoderLayer(width, HEADS, hidden, dropout=0.0, batch_first=True)
    own = {k.removeprefix(INNER): v for k, v in state.items() if k.startswith(INNER)}
    decoder = nn.TransformerDecoder(layer, layers)
    decoder.load_state_dict(own)
    return decoder


def decode(
    state: State, layers: nn.TransformerDecoder, columns: Tensor, length: int, tokens: Tensor
) -> Tensor:
    """Logits after each of `tokens` (batch, n), shown `length` of `columns` (batch, some, 1408)."""
    words = state[DECODER + "word_embedding.weight"]
    width, n = words.shape[1], tokens.shape[1]
    x = words[tokens] * math.sqrt(width) + state[DECODER + "pos_encoder.pe"][:n, 0]
    weight, bias, scale, shift = (state[f"{DECODER}attn_proj.{part}"] for part in PROJECTION)
    memory = F.layer_norm(F.relu(F.linear(columns, weight, bias)), [width], scale, shift)
    hidden = torch.arange(memory.shape[1]) >= length
    out = layers(
        x,
        memory,
        tgt_mask=torch.ones(n, n, dtype=torch.bool).triu(1),
        memory_key_padding_mask=hidden.expand(len(memory), -1),
    )
    return out @ words.T


@dataclass(frozen=True)
class Heard:
    """What the encoder makes of a clip."""

    columns: Tensor  # shape = (1, columns, 1408), of which the decoder is shown
    length: int  # so many

    @property
    def memory(self) -> Tensor:
        """Those that it is shown; shape = (1, length, 1408)."""
        return self.columns[:, : self.length]

    @property
    def embedding(self) -> Tensor:
        """Shape = (1, 1408)."""
        return self.memory.mean(1)


class Reference:
    """The original computation, without a cache."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        safe = folder / "model.safetensors"
        stored: State = (
            load_file(safe) if safe.exists() else torch.load(folder / "pytorch_model.bin")
        )
        state = {name: value.float() for name, value in stored.items()}
        self.state = state
        self.layers = stack(state, config["decoder_n_layers"]).eval()

    @torch.inference_mode()
    def hear(self, samples: NDArray[np.float32]) -> Heard:
        """The memory of `samples`, mono at 16 kHz."""
        s = self.state
        maps = encode(
            s, log_mel(s, torch.from_numpy(samples)), lambda name, x: normalise(s, name, x)
        )
        return Heard(maps.mean(2).mT, (len(samples) // HOP + 1) // 32)

    @torch.inference_mode()
    def logits(self, heard: Heard, tokens: list[int]) -> Tensor:
        """After each of `tokens`; shape = (len(tokens), vocabulary)."""
        ids = torch.tensor([tokens])
        return decode(self.state, self.layers, heard.columns, heard.length, ids)[0]

    def greedy(self, heard: Heard) -> list[int]:
        """The likeliest token each time, up to the end token or `LONGEST`; without the end."""
        tokens: list[int] = []
        while len(tokens) < LONGEST:
            token = int(self.logits(heard, [START, *tokens])[-1].argmax())
            if token == END:
                break
            tokens.append(token)
        return tokens

    def beam(self, heard: Heard, beam: int) -> list[int]:
        """Beam search; without the end token.

        It stops when just `beam` have ended: if one step takes their number past that, it goes on.
        """
        live: list[tuple[float, list[int]]] = [(0.0, [])]
        ended: list[tuple[float, list[int]]] = []
        for step in range(LONGEST):
            longer = []
            for score, tokens in live:
                more = self.logits(heard, [START, *tokens])[-1].log_softmax(0).topk(beam)
                for gain, token in zip(*map(Tensor.tolist, more), strict=True):
                    longer.append((score + gain, [*tokens, token]))
            live = []
            for score, tokens in sorted(longer, reverse=True)[:beam]:
                if tokens[-1] == END or step == LONGEST - 1:
                    ended.append((score / (step + 1), tokens))
                else:
                    live.append((score, tokens))
            if len(ended) == beam:
                break
        best = max(ended)[1]
        return best[: best.index(END)] if END in best else best


def reference(folder: Path) -> Reference:
    """The original computation of the checkpoint in `folder`."""
    return Reference(folder)


# --- a checkpoint with random values


def mel_filters() -> Tensor:
    """Triangles on the HTK mel scale; shape = (257, 64)."""
    hz = torch.linspace(0.0, RATE / 2, FFT // 2 + 1, dtype=torch.float64)
    top = 2595.0 * math.log10(1.0 + RATE / 2 / 700.0)
    mels = torch.linspace(0.0, top, MELS + 2, dtype=torch.float64)
    edges = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    slopes = edges[None] - hz[:, None]
    down = -slopes[:, :-2] / edges.diff()[:-1]
    up = slopes[:, 2:] / edges.diff()[1:]
    return torch.minimum(down, up).clamp(min=0.0).float()


@torch.no_grad()
def _network() -> tuple[State, Tensor]:
    """An encoder whose norms know the statistics of sound, roughly; and its columns of 4 clips."""
    state: State = {}

    def conv(name: str, outputs: int, inputs: int, kernel: int = 1, bias: bool = False) -> None:
        std = (inputs * kernel * kernel) ** -0.5
        weight = torch.randn(outputs, inputs, kernel, kernel) * std
        state[f"{NETWORK}{name}.weight"] = weight
        if bias:
            state[f"{NETWORK}{name}.bias"] = 0.5 * torch.randn(outputs)

    conv("_conv_stem", STEM, 1, 3)
    inputs, number = STEM, 0
    for repeats, kernel, _, expansion, outputs in B2:
        for _ in range(repeats):
            block, inner = f"_blocks.{number}.", inputs * expansion
            if expansion > 1:
                conv(block + "_expand_conv", inner, inputs)
            conv(block + "_depthwise_conv", inner, 1, kernel)
            conv(block + "_se_reduce", max(1, inputs // 4), inner, bias=True)
            conv(block + "_se_expand", inner, max(1, inputs // 4), bias=True)
            conv(block + "_project_conv", outputs, inner)
            inputs, number = outputs, number + 1
    conv("_conv_head", FILTERS, inputs)

    def near(count: int, spread: float) -> Tensor:
        return 1.0 + spread * (2.0 * torch.rand(count) - 1.0)

    def measure(name: str, x: Tensor) -> Tensor:
        var, mean = torch.var_mean(x, (0, 2, 3))
        state[name + ".running_mean"] = mean + 0.2 * var.sqrt() * (near(len(mean), 1.0) - 1.0)
        state[name + ".running_var"] = var * near(len(var), 0.3)
        state[name + ".weight"] = near(len(var), 0.3)
        state[name + ".bias"] = near(len(var), 0.3) - 1.0
        state[name + ".num_batches_tracked"] = torch.tensor(1000)
        return normalise(state, name, x)

    mel = {MEL + "mel_scale.fb": mel_filters(), MEL + "spectrogram.window": torch.hann_window(FFT)}
    clips = torch.stack([torch.from_numpy(signal(k)) for k in range(0, 8, 2)])
    for clip, seconds in zip(clips, range(4), strict=True):
        clip[: seconds * RATE] = 0.0  # else values would explode where nothing sounds
    features = torch.cat([log_mel(mel, clip) for clip in clips])
    columns = encode(state, features, measure).mean(2).mT
    return state | mel, columns


def _decoder(columns: Tensor, vocabulary: int, width: int, layers: int) -> State:
    """A decoder that has learnt two sentences for each clip of `columns`, but not quite by heart.

    So it prefers one word to another, says no special token but the end, and has two minds.
    """
    layer = nn.TransformerDecoderLayer(width, HEADS, 4 * width, dropout=0.0, batch_first=True)
    decoder = nn.TransformerDecoder(layer, layers)
    projection = nn.Sequential(
        nn.Linear(FILTERS, width), nn.ReLU(), nn.Dropout(), nn.LayerNorm(width)
    )
    state: State = {
        DECODER + "word_embedding.weight": nn.Parameter(torch.randn(vocabulary, width) / width**0.5)
    }
    state |= {f"{DECODER}attn_proj.{name}": value for name, value in projection.named_parameters()}
    state |= {INNER + name: value for name, value in decoder.named_parameters()}
    with torch.no_grad():
        for value in state.values():  # no norm or bias is as it began
            value += 0.1 * value.std().nan_to_num(1.0).clamp(min=0.5) * torch.randn_like(value)
    values = list(state.values())
    # in the published ones no sinusoids either, but what their initialisation made of them
    state[DECODER + "pos_encoder.pe"] = 2.0 * torch.rand(100, 1, width) - 1.0
    rows = len(columns) * 2
    weights = torch.tensor([0.6, 0.4]).repeat_interleave(len(columns))
    sentences = torch.randint(END + 2, vocabulary, (rows, LONGEST - 8))
    for row, length in enumerate(torch.randint(4, sentences.shape[1], (rows,))):
        sentences[row, length:] = END
    given = F.pad(sentences[:, :-1], (1, 0), value=START)
    optimiser = torch.optim.Adam(values, 2e-3)
    for _ in range(120):
        logits = decode(state, decoder, columns.repeat(2, 1, 1), columns.shape[1], given)
        losses = F.cross_entropy(logits.mT, sentences, label_smoothing=0.05, reduction="none")
        loss = (losses.mean(1) * weights).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return {name: value.detach() for name, value in state.items()}


def random_state(seed: int, vocabulary: int, emb_dim: int, layers: int) -> State:
    """Values of a whole checkpoint, in its names; the classifier is the word embedding."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state, columns = _network()
        state |= _decoder(columns, vocabulary, emb_dim, layers)
    for name, inputs in (("stdnt_proj", FILTERS), ("tchr_proj", 768)):
        state[f"model.{name}.weight"] = torch.zeros(1024, inputs)
        state[f"model.{name}.bias"] = torch.zeros(1024)
    return state | {"model.logit_scale": torch.tensor(2.66)}


def write_state(folder: Path, state: State, binary: bool = False) -> Path:
    """Write `state` as the weights of the checkpoint in `folder`, and return the file."""
    path = folder / ("pytorch_model.bin" if binary else "model.safetensors")
    if binary:
        torch.save(state, path)
    else:
        save_file({k: v.clone().contiguous() for k, v in state.items()}, path, {"format": "pt"})
    return path


def write_published(
    folder: Path,
    seed: int = 0,
    vocabulary: int = 60,
    emb_dim: int = 64,
    layers: int = 2,
    tied: bool = True,
    stored_classifier: bool = False,
    binary: bool = False,
) -> Path:
    """A checkpoint of random values in the published layout, with a decoder of these sizes.

    `tied`: the classifier is the word embedding, and stored again only if `stored_classifier`.
    Returns: `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = random_state(seed, vocabulary, emb_dim, layers)
    if stored_classifier or not tied:
        table = state[DECODER + "word_embedding.weight"]
        state[DECODER + "classifier.weight"] = table if tied else table.flip(0)
    write_state(folder, state, binary)
    config = {
        "sample_rate": RATE,
        "tchr_dim": 768,
        "shared_dim": 1024,
        "fc_emb_dim": FILTERS,
        "attn_emb_dim": FILTERS,
        "decoder_n_layers": layers,
        "decoder_we_tie_weights": tied,
        "decoder_emb_dim": emb_dim,
        "decoder_dropout": 0.2,
        "vocab_size": vocabulary,
        "architectures": ["Effb2TrmCaptioningModel"],
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    words = ["<pad>", "<start>", "<end>", "<unk>", *(f"word{i}" for i in range(4, vocabulary))]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer(words)), encoding="utf-8")
    return folder


def tokenizer(words: list[str]) -> dict[str, Any]:
    """A fast tokenizer of whole words; `words` by id, the first four special."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": words[i], "special": True} for i in range(4)],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {word: i for i, word in enumerate(words)},
            "unk_token": "<unk>",
        },
    }
