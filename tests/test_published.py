"""The import of the authors' checkpoints: the same numbers, or a line that says why not."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("safetensors", reason="no safetensors; type: pip install 'aac-stream[import]'")

from safetensors.torch import load_file
from torch import Tensor

from edge.errors import BundleError
from edge.inference.features import FeatureSpec, LogMel
from export.hub import fetch
from export.published import Published, load_published
from tests.helpers import ROOT
from tests.published import (
    DECODER,
    END,
    INNER,
    MEL,
    NETWORK,
    START,
    State,
    reference,
    signal,
    tokenizer,
    write_published,
    write_state,
)

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTHS = [160_000, 70_000, 48_077, 5_119, 7_520]  # samples; 32 frames are one vector
TOKENS = [START, 5, 9, 7, 3, 30, 5]
FIXTURE = Path(
    os.environ.get("AAC_PUBLISHED_FIXTURE", ROOT.parent / "shared" / "published_student")
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As it is published, but for the values and the sizes of the decoder. Not to be changed."""
    return write_published(tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="module")
def state(checkpoint: Path) -> State:
    """Its tensors. Not to be changed."""
    return load_file(checkpoint / "model.safetensors")


@pytest.fixture(scope="module")
def _scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("scratch")
    yield folder
    shutil.rmtree(folder)  # weights are large


@pytest.fixture
def copy(checkpoint: Path, _scratch: Path) -> Path:
    """A copy of the checkpoint, to be changed."""
    folder = _scratch / "effb2-copy"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(checkpoint / name, folder)
    (folder / "model.safetensors").symlink_to(checkpoint / "model.safetensors")
    return folder


@torch.inference_mode()
def ours(model: Published, samples: np.ndarray, tokens: list[int]) -> tuple[Tensor, ...]:
    """Memory, clip embedding and logits of the imported student, from its own features."""
    features = torch.from_numpy(LogMel(model.features)(samples))[None]
    logits, embedding = model.student(features, torch.tensor([tokens]))
    return model.student.encoder(features), embedding, logits[0]


def change_json(path: Path, **changes: object) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(values | changes), encoding="utf-8")


def replace_weights(folder: Path, state: State, binary: bool = False) -> Path:
    (folder / "model.safetensors").unlink()
    return write_state(folder, state, binary)


# --- the same numbers


def check(folder: Path) -> None:
    model, original = load_published(folder), reference(folder)
    for k, samples in enumerate(LENGTHS):
        audio = signal(k, samples)
        audio[: samples // 4] = 0.0  # more than 120 dB below the rest, but for the limit
        heard = original.hear(audio)
        memory, embedding, logits = ours(model, audio, TOKENS)
        assert memory.shape == heard.memory.shape == (1, (samples // 160 + 1) // 32, 1408)
        torch.testing.assert_close(memory, heard.memory, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(embedding, heard.embedding, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(logits, original.logits(heard, TOKENS), atol=1e-3, rtol=1e-3)


def test_the_import_computes_what_the_original_does(checkpoint: Path) -> None:
    check(checkpoint)


def test_so_it_does_with_a_decoder_of_other_sizes_from_a_pickle(tmp_path: Path) -> None:
    check(write_published(tmp_path, 1, vocabulary=45, emb_dim=40, layers=3, binary=True))
    shutil.rmtree(tmp_path)  # weights are large


def test_it_tells_sounds_and_words_apart(checkpoint: Path) -> None:
    """Else the tests above would show little."""
    model = load_published(checkpoint)
    (one, _, said), (two, _, other) = (ours(model, signal(k), TOKENS) for k in (0, 2))
    assert (one - two).abs().mean() > 0.1
    assert (one[:, 1:] - one[:, :-1]).abs().mean() > 0.1
    assert (said - other).abs().mean() > 0.1
    best = said.topk(2).values
    assert (best[:, 0] - best[:, 1]).median() > 0.1


def test_what_comes_with_the_student(checkpoint: Path) -> None:
    model = load_published(checkpoint)
    assert not model.student.training
    assert model.words[:5] == ["<pad>", "<start>", "<end>", "<unk>", "word4"]
    assert len(model.words) == model.student.spec.vocabulary == 60
    assert (model.max_tokens, model.beam, model.source) == (20, 3, checkpoint.name)
    assert model.student.spec.max_tokens == 20
    assert model.features == FeatureSpec(
        sample_rate=16_000,
        window=512,
        hop=160,
        n_mels=64,
        f_min=0.0,
        f_max=8_000.0,
        floor=1e-10,
        mean=0.0,
        std=1.0,
        centred=True,
        top_db=120.0,
    )


def same(one: Published, two: Published, atol: float = 0.0) -> None:
    state = two.student.state_dict()
    for name, value in one.student.state_dict().items():
        torch.testing.assert_close(value, state[name], atol=atol, rtol=atol)
    torch.testing.assert_close(
        one.student.decoder.positions, two.student.decoder.positions, atol=atol, rtol=atol
    )


def test_it_matters_not_how_the_values_are_stored(
    checkpoint: Path, copy: Path, state: State
) -> None:
    model = load_published(checkpoint)
    words = state[DECODER + "word_embedding.weight"]
    replace_weights(copy, state | {DECODER + "classifier.weight": words})
    same(load_published(copy), model)
    half = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    written = replace_weights(copy, half, binary=True)
    same(load_published(copy), model, atol=1e-3)
    written.unlink()
    training = ("stdnt_proj", "tchr_proj", "logit_scale", "num_batches_tracked")
    bare = {k: v for k, v in state.items() if not any(part in k for part in training)}
    write_state(copy, bare, binary=True)
    same(load_published(copy), model)


def test_safetensors_are_preferred(copy: Path) -> None:
    (copy / "pytorch_model.bin").write_bytes(b"not to be read")
    load_published(copy)


def test_the_tokenizer_may_lie_elsewhere(copy: Path, tmp_path: Path) -> None:
    words = ["<pad>", "<start>", "<end>", "<unk>", *(f"other{i}" for i in range(56))]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(tokenizer(words)), encoding="utf-8")
    assert load_published(copy).words[4] == "word4"
    for place in (path, tmp_path):
        assert load_published(copy, place).words == words
    assert load_published(copy, source="elsewhere").source == "elsewhere"


def test_words_that_were_added_count(copy: Path) -> None:
    """A fast tokenizer keeps its special tokens apart from its vocabulary."""
    words = [f"w{i}" for i in range(60)]
    words[:4] = ["<pad>", "<start>", "<end>", "<unk>"]
    values = tokenizer(words)
    for word in words[:4]:
        del values["model"]["vocab"][word]
    (copy / "tokenizer.json").write_text(json.dumps(values), encoding="utf-8")
    assert load_published(copy).words == words


@pytest.mark.skipif(
    not FIXTURE.exists(), reason="no checkpoint with known captions; set AAC_PUBLISHED_FIXTURE"
)
def test_known_outputs_are_reproduced() -> None:
    """Of the original and of the import; the import's searches are those of its bundle."""
    known = json.loads((FIXTURE / "reference_outputs.json").read_text(encoding="utf-8"))
    model, original = load_published(FIXTURE), reference(FIXTURE)
    for case in known["cases"]:
        audio = signal(case["k"])
        heard = original.hear(audio)
        greedy, beam3, beam5 = (
            [token for token in case[name] if token != END] for name in ("greedy", "beam3", "beam5")
        )
        memory, embedding, logits = ours(model, audio, [START, *greedy])
        for clip in (heard.embedding, embedding):
            first = torch.tensor(case["fc_emb_first6"])
            torch.testing.assert_close(clip[0, :6], first, atol=1e-3, rtol=0.0)
            assert clip.norm() == pytest.approx(case["fc_emb_norm"], abs=1e-3)
        assert list(heard.columns.shape) == case["attn_emb_shape"]
        assert memory.shape[1] == heard.length == case["attn_emb_len"]
        assert logits.argmax(1).tolist() == [*greedy, END]
        assert original.greedy(heard) == greedy
        assert original.beam(heard, 3) == beam3
        assert original.beam(heard, 5) == beam5
    short = known["short"]
    heard = original.hear(signal(short["k"], short["samples"]))
    assert original.beam(heard, 3) == [token for token in short["beam3"] if token != END]


# --- what cannot be imported


def the_error(folder: Path) -> str:
    """What is said of `folder`: a single line."""
    with pytest.raises(BundleError) as caught:
        load_published(folder)
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    assert len(said) < 400 + len(str(folder))
    return said


def as_folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def config(**changes: object) -> Callable[[Path], None]:
    return lambda path: change_json(path.with_name("config.json"), **changes)


def text(said: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.unlink(missing_ok=True)  # it may be a link
        path.write_text(said, encoding="utf-8")

    return write


def words(*said: str) -> Callable[[Path], None]:
    return text(json.dumps(tokenizer([*said])))


def alone(fault: Callable[[Path], None]) -> Callable[[Path], None]:
    """Without the other kind of weights."""

    def change(path: Path) -> None:
        path.with_name("model.safetensors").unlink()
        fault(path)

    return change


FAULTS: list[tuple[str, Callable[[Path], None], str]] = [
    ("config.json", Path.unlink, "no such file; give the folder of a published checkpoint"),
    ("config.json", text("{"), "is damaged; download it again"),
    ("config.json", text("[1]"), "is damaged; download it again"),
    ("config.json", as_folder, "cannot be read (Is a directory)"),
    (
        "config.json",
        config(sample_rate="16k"),
        "sample_rate must be a whole number above 0, not '16k'; download it again",
    ),
    (
        "config.json",
        config(decoder_n_layers=0),
        "decoder_n_layers must be a whole number above 0, not 0",
    ),
    (
        "config.json",
        config(decoder_we_tie_weights=None),
        "decoder_we_tie_weights must be true or false, not None",
    ),
    (
        "config.json",
        config(decoder_emb_dim=62),
        "decoder_emb_dim is 62, which 4 heads cannot share",
    ),
    (
        "model.safetensors",
        config(vocab_size=61),
        f"{DECODER}word_embedding.weight has shape (60, 64), but for this config.json it must be "
        "(61, 64); download both again",
    ),
    ("model.safetensors", config(decoder_n_layers=3), f"lacks {INNER}layers.2."),
    (
        "model.safetensors",
        config(decoder_n_layers=1),
        f"has a tensor that is not known, {INNER}layers.1.",
    ),
    (
        "model.safetensors",
        config(decoder_we_tie_weights=False),
        f"lacks {DECODER}classifier.weight; only checkpoints laid out as",
    ),
    (
        "model.safetensors",
        config(sample_rate=32_000),
        f"{MEL}mel_scale.fb is not that of 64 HTK mel bands up to 8000 Hz at 32000 Hz",
    ),
    (
        "model.safetensors",
        text("version https://git-lfs.github.com/spec/v1"),
        "is damaged, or holds no weights; download it again (git needs git-lfs for such a file)",
    ),
    ("pytorch_model.bin", alone(text("PK")), "is damaged, or holds no weights; download it again"),
    (
        "pytorch_model.bin",
        alone(lambda path: torch.save({"step": 1}, path)),
        "is damaged, or holds no weights; download it again",
    ),
    ("pytorch_model.bin", alone(as_folder), "cannot be read (Is a directory)"),
    (
        "tokenizer.json",
        Path.unlink,
        "no such file; copy there the tokenizer.json that is published for the model",
    ),
    ("tokenizer.json", text("{"), "is damaged; download it again"),
    ("tokenizer.json", text('{"model": 1}'), "is no tokenizer, or is damaged; download it again"),
    (
        "tokenizer.json",
        text('{"model": {"type": "WordLevel", "vocab": [1]}}'),
        "is no tokenizer, or is damaged; download it again",
    ),
    (
        "tokenizer.json",
        text('{"model": {"type": "BPE", "vocab": {}, "merges": []}}'),
        "is a tokenizer of another kind (BPE); take the one of whole words",
    ),
    (
        "tokenizer.json",
        words("<unk>", "<pad>", "<start>", "<end>", "a"),
        "ids 0, 1 and 2 must be <pad>, <start>, <end>; take the tokenizer",
    ),
    (
        "tokenizer.json",
        words("<pad>", "<start>", "<end>", "<unk>", "a"),
        "has 5 words, the model 60; take the tokenizer that is published for the model",
    ),
]


@pytest.mark.parametrize(("name", "fault", "says"), FAULTS)
def test_what_is_missing_or_damaged_is_one_line(
    copy: Path, name: str, fault: Callable[[Path], None], says: str
) -> None:
    path = copy / name
    fault(path)
    assert the_error(copy).startswith(f"{path}: {says}")


def test_no_weights_at_all_are_one_line(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    assert the_error(copy) == (
        f"{copy}: holds no weights; "
        "download model.safetensors or pytorch_model.bin of the model to it"
    )


def test_bytes_that_are_no_text_are_one_line(copy: Path) -> None:
    (copy / "config.json").write_bytes(b"\xff\xfe{")
    assert the_error(copy) == f"{copy / 'config.json'}: is damaged; download it again"


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    assert "config.json: no such file" in the_error(tmp_path / "none")


def test_an_id_without_a_word_is_one_line(copy: Path) -> None:
    path = copy / "tokenizer.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values["model"]["vocab"]["word59"] = 60
    path.write_text(json.dumps(values), encoding="utf-8")
    assert "take the tokenizer that is published" in the_error(copy)


def test_weights_cut_short_are_one_line(copy: Path, checkpoint: Path) -> None:
    path = copy / "model.safetensors"
    path.unlink()
    path.write_bytes((checkpoint / path.name).read_bytes()[:1_000_000])
    assert the_error(copy).startswith(f"{path}: is damaged, or holds no weights")


def test_without_safetensors_it_says_what_to_install(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    assert "type: pip install 'aac-stream[import]'" in the_error(copy)


def test_tensors_of_another_model_are_one_line(copy: Path, state: State) -> None:
    """The first of them is named. `None`: without it."""
    norm, table = NETWORK + "_blocks.7._bn1.running_var", DECODER + "word_embedding.weight"
    inside, memory = DECODER + "model.layers.1.self_attn.in_proj_weight", DECODER + "attn_proj.0"
    bands, window = MEL + "mel_scale.fb", MEL + "spectrogram.window"
    positions = DECODER + "pos_encoder.pe"
    cases: list[tuple[dict[str, Tensor | None], str]] = [
        ({norm: None}, f"lacks {norm}; only checkpoints laid out as"),
        ({norm: None, inside: None}, f"lacks {norm} and 1 more; only"),
        ({"model.model.odd": state[table]}, "has a tensor that is not known, model.model.odd; on"),
        ({NETWORK + "_fc.bias": state[norm]}, f"has a tensor that is not known, {NETWORK}_fc.bias"),
        ({norm: state[norm][:-1]}, f"{norm} has shape (287,), but for this config.json it must be"),
        ({inside: state[inside][:64]}, f"{inside} has shape (64, 64), but for this config.json it"),
        ({f"{memory}.weight": state[table]}, f"{memory}.weight has shape (60, 64), but for this"),
        ({bands: state[bands] * 1.01}, f"{bands} is not that of 64 HTK mel bands up to 8000 Hz at"),
        ({bands: state[bands].int()}, f"{bands} is not that of 64 HTK mel bands up to 8000 Hz at"),
        ({bands: state[bands][:, :40]}, f"{bands} has shape (257, 40), but for this config.json"),
        ({window: torch.hamming_window(512)}, f"{window} is not that of 64 HTK mel bands"),
        ({window: torch.hann_window(512, periodic=False)}, f"{window} is not that of"),
        ({positions: state[positions][:19]}, f"{positions} has shape (19, 1, 64), but for this"),
        (
            {DECODER + "classifier.weight": state[table].flip(0)},
            f"{DECODER}classifier.weight is not the word embedding; such untied checkpoints",
        ),
    ]
    for changes, says in cases:
        changed = {k: v for k, v in {**state, **changes}.items() if v is not None}
        path = replace_weights(copy, changed)
        assert the_error(copy).startswith(f"{path}: {says}")


# --- by name, from the hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PUBLISHED = "wsntxxn/effb2-trm-audio-captioning"
FETCH = """
import json, sys
from edge.errors import BundleError
from export.hub import fetch
for name in sys.argv[1:]:
    try:
        got = fetch(name)
        print(json.dumps([str(got.folder), str(got.tokenizer), got.source]))
    except BundleError as error:
        print(json.dumps(str(error)))
"""


class Hub(ThreadingHTTPServer):
    """As much of the hub as a download of single files needs, on loopback."""

    def __init__(self, files: dict[str, Path], gated: str, broken: str) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.gated, self.broken = files, gated, broken
        self.sent: list[str] = []  # repository/file
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(BaseHTTPRequestHandler):
    """/OWNER/NAME/resolve/REVISION/FILE."""

    server: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        path = self._answer()
        if path in self.server.files and path != self.server.broken:
            self.server.sent.append(path)
            self.wfile.write(self.server.files[path].read_bytes())

    def _answer(self) -> str:
        """Send the head of an answer; returns what was asked for, as repository/file."""
        owner, name, *more = self.path.lstrip("/").split("/")
        repository, path = f"{owner}/{name}", "/".join([owner, name, *more[2:]])
        data = self.server.files[path].read_bytes() if path in self.server.files else None
        headers = {"X-Repo-Commit": COMMIT, "Content-Length": str(len(data or b""))}
        if path == self.server.broken and self.command == "GET":
            status, headers["Content-Length"] = 500, "0"
        elif data is not None:
            status, headers["ETag"] = 200, f'"{hashlib.sha256(data).hexdigest()}"'
        elif repository == self.server.gated:
            status, headers["X-Error-Code"] = 403, "GatedRepo"
        elif any(known.startswith(repository + "/") for known in self.server.files):
            status, headers["X-Error-Code"] = 404, "EntryNotFound"
        else:  # as the hub does, lest it tell which private ones there are
            status, headers["X-Error-Code"] = 401, "RepoNotFound"
        self.send_response(status)
        for header, value in headers.items():
            self.send_header(header, value)
        self.end_headers()
        return path

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def run_fetch(port: int, cache: Path, *names: str) -> list[Any]:
    """What `fetch` returns, or says, for each of `names`, with the hub at `port`."""
    hidden = ("HF_", "HUGGING", "TRANSFORMERS_", "HTTP", "http", "ALL_PROXY", "all_proxy")
    env = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    env |= {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HOME": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", FETCH, *names],
        capture_output=True,
        text=True,
        env=env,
        cwd=ROOT,
        timeout=120.0,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Retrying" not in done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_checkpoint_is_fetched_by_name(checkpoint: Path, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="type: pip install 'aac-stream[import]'")
    cache = tmp_path / "cache"
    other = tmp_path / "other.bin"
    other.write_bytes(b"not to be fetched")
    config, weights, words = (
        checkpoint / name for name in ("config.json", "model.safetensors", "tokenizer.json")
    )
    hub = Hub(
        {
            f"{PUBLISHED}/config.json": config,
            f"{PUBLISHED}/model.safetensors": weights,
            f"{PUBLISHED}/pytorch_model.bin": other,
            f"{PUBLISHED}/README.md": other,
            "wsntxxn/audiocaps-simple-tokenizer/tokenizer.json": words,
            "me/mine/config.json": config,
            "me/mine/pytorch_model.bin": other,
            "me/mine/tokenizer.json": words,
            "me/words/config.json": config,
            "me/broken/config.json": config,
        },
        gated="me/closed",
        broken="me/broken/config.json",
    )
    port = hub.server_port
    try:
        fetched, mine, words_only, none, closed, broken = run_fetch(
            port, cache, PUBLISHED, "me/mine", "me/words", "me/none", "me/closed", "me/broken"
        )
    finally:
        hub.shutdown()
        hub.server_close()
    folder, tokenizer_path, source = fetched
    model = load_published(Path(folder), Path(tokenizer_path), source)
    assert model.source == f"{PUBLISHED}@{COMMIT}"
    same(model, load_published(checkpoint))
    assert {path.name for path in Path(folder).iterdir()} == {config.name, weights.name}
    assert Path(folder).is_relative_to(cache)
    assert {path.name for path in Path(mine[0]).iterdir()} == {
        "config.json",
        "pytorch_model.bin",
        "tokenizer.json",
    }
    assert mine[1:] == [f"{mine[0]}/tokenizer.json", f"me/mine@{COMMIT}"]
    assert words_only == "me/words: holds no model.safetensors or pytorch_model.bin; check the name"
    assert none.startswith("me/none: no such repository on the hub, or a private one; check the")
    assert closed.startswith("me/closed: its owner must let you in; ask for access on its page")
    assert broken.startswith("me/broken: config.json cannot be downloaded (")
    assert broken.endswith("); try again, or download it elsewhere and give its folder")
    assert len(broken.splitlines()) == 1
    assert len(hub.sent) == len(set(hub.sent)) == 7
    assert not {f"{PUBLISHED}/README.md", f"{PUBLISHED}/pytorch_model.bin"} & set(hub.sent)
    # The port is closed now. What was fetched is there still, the rest is out of reach.
    again, mine_again, far = run_fetch(port, cache, PUBLISHED, "me/mine", "me/far")
    assert again == fetched
    assert mine_again == mine
    assert far == (
        "me/far: the hub cannot be reached; check the connection, "
        "or download it elsewhere and give its folder"
    )
    shutil.rmtree(cache)  # weights are large


@pytest.mark.parametrize(
    "name", ["missing", "a/b/c", "./folder/deeper", "../up", "/", "a/", "a b/c"]
)
def test_what_is_no_name_is_not_looked_up(name: str) -> None:
    with pytest.raises(BundleError) as caught:
        fetch(name)
    assert str(caught.value) == f"{name}: is neither a folder nor a name such as {PUBLISHED}"


def test_without_huggingface_hub_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(BundleError, match=r"type: pip install 'aac-stream\[import\]'$"):
        fetch(PUBLISHED)
