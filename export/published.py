"""The checkpoints that the paper's authors published, as students of ours.

Xu et al., arXiv 2407.14329: `wsntxxn/effb2-trm-audio-captioning`, of AudioCaps, and
`wsntxxn/effb2-trm-clotho-captioning`. Each is a folder with `config.json` and `model.safetensors`
or `pytorch_model.bin`; the tokenizer, `tokenizer.json`, is published apart from them.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill.models.checkpoint import DAMAGE
from distill.models.encoders import ENCODERS, STAGES
from distill.models.student import Student, StudentSpec
from edge.errors import BundleError
from edge.inference.features import FeatureSpec, mel_bands
from export.hub import CONFIG, TOKENIZER, WEIGHTS

State = dict[str, Tensor]

ENCODER = "effb2-static"
MAX_TOKENS, BEAM = 20, 3  # how the authors search
HEADS = 4
SPECIAL = ["<pad>", "<start>", "<end>"]  # ids 0, 1, 2
FEATURES = FeatureSpec(
    sample_rate=16_000,  # as by default; the checkpoint's config.json says
    window=512,
    hop=160,
    n_mels=64,
    f_min=0.0,
    f_max=8000.0,
    floor=1e-10,
    mean=0.0,
    std=1.0,
    centred=True,
    top_db=120.0,
)
DEFAULTS = {
    "sample_rate": FEATURES.sample_rate,
    "decoder_n_layers": 2,
    "decoder_emb_dim": 256,
    "decoder_we_tie_weights": True,
    "vocab_size": 4981,
}
AGAIN = "download it again"

NETWORK = "model.model.encoder.backbone.eff_net."
BANDS = "model.model.encoder.melspec_extractor.mel_scale.fb"
WINDOW = "model.model.encoder.melspec_extractor.spectrogram.window"
DECODER = "model.model.decoder."
WORDS = DECODER + "word_embedding.weight"
CLASSIFIER = DECODER + "classifier.weight"
POSITIONS = DECODER + "pos_encoder.pe"
TRAINING = ("model.stdnt_proj.", "model.tchr_proj.", "model.logit_scale")  # for the losses alone


@dataclass(frozen=True)
class Published:
    """A published student and what goes with it."""

    student: Student
    words: list[str]  # by id
    features: FeatureSpec
    max_tokens: int
    beam: int
    source: str  # where it is from, for people


def load_published(
    folder: Path, tokenizer: Path | None = None, source: str | None = None
) -> Published:
    """The student in `folder`, ready to use.

    `tokenizer`: `tokenizer.json`, or a folder that holds it; else `folder` does. `source`: what to
    say of where it is from; else the folder's name.

    Raises: BundleError if something is missing, damaged or of another model.
    """
    config = _read_config(folder / CONFIG)
    path = next(
        (folder / name for name in WEIGHTS if (folder / name).exists()), folder / WEIGHTS[0]
    )
    stored = _read_weights(path)
    features = replace(FEATURES, sample_rate=config["sample_rate"])
    student = _student(stored, config, path)
    _check_features(stored, features, path)
    words = tokenizer or folder
    return Published(
        student=student,
        words=_read_words(words / TOKENIZER if words.is_dir() else words, config["vocab_size"]),
        features=features,
        max_tokens=MAX_TOKENS,
        beam=BEAM,
        source=source or folder.resolve().name,
    )


# --- files


def _read_json(path: Path, missing: str) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{path}: no such file; {missing}") from None
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise BundleError(f"{path}: is damaged; {AGAIN}") from None
    if not isinstance(values, dict):
        raise BundleError(f"{path}: is damaged; {AGAIN}")
    return values


def _read_config(path: Path) -> dict[str, Any]:
    stated = _read_json(path, "give the folder of a published checkpoint, which holds it")
    config = {key: stated.get(key, default) for key, default in DEFAULTS.items()}
    for key, value in config.items():
        kind = type(DEFAULTS[key])
        if type(value) is not kind or (kind is int and value < 1):
            expected = "true or false" if kind is bool else "a whole number above 0"
            raise BundleError(f"{path}: {key} must be {expected}, not {value!r}; {AGAIN}")
    if config["decoder_emb_dim"] % HEADS:
        raise BundleError(
            f"{path}: decoder_emb_dim is {config['decoder_emb_dim']}, which {HEADS} heads cannot "
            f"share; {AGAIN}"
        )
    return config


def _read_weights(path: Path) -> State:
    """The tensors in `path`."""
    if not path.exists():
        names = " or ".join(WEIGHTS)
        raise BundleError(f"{path.parent}: holds no weights; download {names} of the model to it")
    try:
        if path.suffix == ".bin":
            state = torch.load(path, map_location="cpu", weights_only=True)
        else:
            state = _read_safetensors(path)
        if isinstance(state, dict) and all(isinstance(value, Tensor) for value in state.values()):
            return state
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror or error})") from None
    except DAMAGE:
        pass
    raise BundleError(
        f"{path}: is damaged, or holds no weights; {AGAIN} (git needs git-lfs for such a file)"
    )


def _read_safetensors(path: Path) -> State:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise BundleError(
            f"{path}: needs safetensors to be read; type: pip install 'aac-stream[import]'"
        ) from None
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def _read_words(path: Path, count: int) -> list[str]:
    """The words of the tokenizer in `path` by id; there must be `count`."""
    values = _read_json(
        path,
        f"copy there the {TOKENIZER} that is published for the model, in a repository of its own",
    )
    try:
        kind = values["model"]["type"]
        ids = dict(values["model"]["vocab"]) if kind == "WordLevel" else {}
        ids |= {token["content"]: token["id"] for token in values.get("added_tokens") or []}
    except (LookupError, TypeError, ValueError):
        raise BundleError(f"{path}: is no tokenizer, or is damaged; {AGAIN}") from None
    if kind != "WordLevel":
        raise BundleError(
            f"{path}: is a tokenizer of another kind ({kind}); take the one of whole words "
            "(WordLevel) that is published for the model"
        )
    words = {i: word for word, i in ids.items()}
    if [*map(words.get, range(len(SPECIAL)))] != SPECIAL:
        raise BundleError(
            f"{path}: ids 0, 1 and 2 must be {', '.join(SPECIAL)}; "
            "take the tokenizer that is published for the model"
        )
    if len(words) != count or words.keys() != set(range(count)):
        raise BundleError(
            f"{path}: has {len(words)} words, the model {count}; "
            "take the tokenizer that is published for the model"
        )
    return [words[i] for i in range(count)]


# --- tensors


def _encoder_names() -> list[str]:
    """The encoder's tensors in the naming of `efficientnet_pytorch`, in the order of ours."""
    repeats = [math.ceil(stage[0] * ENCODERS[ENCODER].depth) for stage in STAGES]
    expansions = [stage[3] for stage, n in zip(STAGES, repeats, strict=True) for _ in range(n)]
    weight, affine = ("weight",), ("weight", "bias")
    norm = (*affine, "running_mean", "running_var")
    modules = [("_conv_stem", weight), ("_bn0", norm)]
    for i, expansion in enumerate(expansions):
        block = [("_expand_conv", weight), ("_bn0", norm)] if expansion > 1 else []
        block += [("_depthwise_conv", weight), ("_bn1", norm)]
        block += [("_se_reduce", affine), ("_se_expand", affine)]
        block += [("_project_conv", weight), ("_bn2", norm)]
        modules += [(f"_blocks.{i}.{name}", parts) for name, parts in block]
    modules += [("_conv_head", weight), ("_bn1", norm)]
    return [f"{NETWORK}{name}.{part}" for name, parts in modules for part in parts]


def _decoder_names(layers: int) -> dict[str, list[str]]:
    """The decoder's tensors as they are published, and what ours stack up to each of them."""
    names = {WORDS: ["embedding.weight"]}
    for part in ("weight", "bias"):
        for i in (0, 3):
            names[f"{DECODER}attn_proj.{i}.{part}"] = [f"adapt.{i}.{part}"]
        for i in range(layers):
            layer, ours = f"{DECODER}model.layers.{i}.", f"layers.{i}."
            for theirs, own in (("self_attn", "own"), ("multihead_attn", "memory")):
                names[f"{layer}{theirs}.in_proj_{part}"] = [
                    f"{ours}{own}.{name}.{part}" for name in ("query", "key", "value")
                ]
                names[f"{layer}{theirs}.out_proj.{part}"] = [f"{ours}{own}.out.{part}"]
            names[f"{layer}linear1.{part}"] = [f"{ours}feed.0.{part}"]
            names[f"{layer}linear2.{part}"] = [f"{ours}feed.3.{part}"]
            for j in range(3):
                names[f"{layer}norm{j + 1}.{part}"] = [f"{ours}norms.{j}.{part}"]
    return names


def _student(stored: State, config: dict[str, Any], path: Path) -> Student:
    """Ours with the values `stored`, which are of the sizes that `config` states."""
    encoder, decoder = _encoder_names(), _decoder_names(config["decoder_n_layers"])
    needed = [*encoder, *decoder, POSITIONS, BANDS, WINDOW]
    if not config["decoder_we_tie_weights"]:
        needed.append(CLASSIFIER)
    _check_names(stored, needed, path)
    width, count = config["decoder_emb_dim"], config["vocab_size"]
    _check_shape(stored, WORDS, (count, width), path)
    if CLASSIFIER in stored and not torch.equal(stored[CLASSIFIER], stored[WORDS]):
        raise BundleError(
            f"{path}: {CLASSIFIER} is not the word embedding; "
            "such untied checkpoints (decoder_we_tie_weights false) are not supported"
        )
    student = Student(
        StudentSpec(
            vocabulary=count,
            encoder=ENCODER,
            width=width,
            layers=config["decoder_n_layers"],
            heads=HEADS,
            hidden=len(stored[f"{DECODER}model.layers.0.linear1.bias"]),
            max_tokens=MAX_TOKENS,
        )
    )
    own = student.state_dict()
    ours = [k for k in own if k.startswith("encoder.") and not k.endswith("num_batches_tracked")]
    places = {name: [k] for name, k in zip(encoder, ours, strict=True)}
    places |= {name: [f"decoder.{k}" for k in keys] for name, keys in decoder.items()}
    for name, keys in places.items():
        rows, *rest = own[keys[0]].shape
        _check_shape(stored, name, (len(keys) * rows, *rest), path)
        own.update(zip(keys, stored[name].chunk(len(keys)), strict=True))
    student.load_state_dict(own)
    # Meant as sinusoids, but the authors' initialisation overwrote them, and training kept that.
    length = max(MAX_TOKENS, len(stored[POSITIONS]))
    _check_shape(stored, POSITIONS, (length, 1, width), path)
    student.decoder.positions.copy_(stored[POSITIONS][:MAX_TOKENS, 0])
    return student.eval()


def _check_names(stored: State, needed: list[str], path: Path) -> None:
    known = {*needed, CLASSIFIER}
    missing = [name for name in needed if name not in stored]
    unknown = [
        name
        for name in stored
        if name not in known
        and not name.startswith(TRAINING)
        and not (name.startswith(NETWORK) and name.endswith(".num_batches_tracked"))
    ]
    for names, fault in ((missing, "lacks"), (unknown, "has a tensor that is not known,")):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise BundleError(
                f"{path}: {fault} {names[0]}{more}; only checkpoints laid out as "
                "wsntxxn/effb2-trm-audio-captioning can be imported"
            )


def _check_shape(stored: State, name: str, shape: tuple[int, ...], path: Path) -> None:
    if stored[name].shape != shape:
        raise BundleError(
            f"{path}: {name} has shape {tuple(stored[name].shape)}, but for this {CONFIG} it must "
            f"be {shape}; download both again"
        )


def _check_features(stored: State, features: FeatureSpec, path: Path) -> None:
    """The front end is not read but made anew: it must be the same."""
    expected = {
        BANDS: torch.from_numpy(mel_bands(features)),
        WINDOW: torch.hann_window(features.window),  # periodic
    }
    for name, value in expected.items():
        _check_shape(stored, name, tuple(value.shape), path)
        found = stored[name]
        # values of up to 1, which may have been stored in half precision
        rounding = torch.finfo(found.dtype).eps if found.is_floating_point() else 0.0
        if not torch.allclose(found.float(), value, rtol=0.0, atol=max(1e-4, rounding)):
            raise BundleError(
                f"{path}: {name} is not that of {features.n_mels} HTK mel bands up to "
                f"{features.f_max:.0f} Hz at {features.sample_rate} Hz; a model of other features "
                "cannot be imported"
            )
