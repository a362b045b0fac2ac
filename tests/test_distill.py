"""Grammar, scenes, losses, teacher, student and training."""

from __future__ import annotations

import itertools
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

from distill import train as training
from distill.cli import main
from distill.corpus import Clip, CorpusError, read_clips
from distill.evaluate import Result, interval, table
from distill.grammar import QUIET, load_grammar
from distill.losses import EncoderDistillation, caption_loss
from distill.noise import RATE, SceneMaker, shaped_noise, trim
from distill.tagger import Tagger, load_tagger
from distill.vocabulary import Vocabulary
from export.checkpoint import load_checkpoint
from export.student import PAD, Student, StudentSpec
from tests.helpers import ROOT

TEACHER = ROOT.parent / "shared" / "teacher"


# --- grammar


def test_no_clause_holds_a_connector() -> None:
    """Else a caption could not be read back."""
    grammar = load_grammar()
    joints = {*grammar.together, *grammar.sequence}
    for label, clauses in grammar.clauses.items():
        assert len(clauses) == len(set(clauses)) >= 2, label
        for clause in clauses:
            assert not joints & set(clause.split()), clause


def test_every_caption_is_read_back_as_what_it_was_made_of() -> None:
    grammar, rng = load_grammar(), random.Random(0)
    labels = sorted(grammar.clauses)
    for _ in range(2000):
        pair = rng.sample(labels, rng.choice([1, 2]))
        caption = grammar.caption(pair, rng.random() < 0.5, rng)
        assert all(grammar.names(caption, label) for label in pair), caption
        assert len(grammar.labels(caption)) == len(pair)


def test_the_rule_accepts_the_wordings_of_the_grammar_and_nothing_wider() -> None:
    grammar = load_grammar()
    assert grammar.names("rain falls while a dog barks", "Dog bark")
    assert not grammar.names("a dog", "Dog bark")
    assert not grammar.names("a dog barks at night", "Dog bark")
    assert not grammar.names("a woman screams", "Male scream")
    assert not grammar.names("a steam train puffs along", "Train")
    assert grammar.names("a train is passing", "Steam train")
    shared = {
        frozenset((a, b))
        for a in grammar.clauses
        for b in grammar.clauses
        if a != b and set(grammar.clauses[a]) & set(grammar.clauses[b])
    }
    assert shared == {
        frozenset({"Train", "Steam train"}),
        frozenset({"White noise", "Pink noise"}),
    }


def test_words_become_ids_and_back() -> None:
    vocabulary = Vocabulary(load_grammar().words())
    ids = vocabulary.encode("a dog barks", 8)
    assert [vocabulary.words[i] for i in ids] == [
        "<start>", "a", "dog", "barks", "<end>", "<pad>", "<pad>", "<pad>"
    ]  # fmt: skip
    with pytest.raises(ValueError, match="limit 3"):
        vocabulary.encode("a dog barks", 3)


# --- scenes


def clip_of(label: str, kind: str = "event") -> Clip:
    return Clip(Path("none"), label, kind, "test", "CC0", "train")


def maker(seed: int = 0) -> SceneMaker:
    """Three labels that an FFT can tell: tones of 500, 1500 and 4500 Hz."""
    clips = [clip_of("Dog bark"), clip_of("Rain", "ambience"), clip_of("Sneeze")]
    t = np.arange(2 * RATE) / RATE
    audio = [(np.sin(2 * np.pi * hz * t) * 9000).astype(np.int16) for hz in (500.0, 1500.0, 4500.0)]
    return SceneMaker(clips, audio, load_grammar(), seed)


def test_a_scene_is_the_same_for_the_same_seed_and_number() -> None:
    one, two, other = maker().scene(7, 4.0), maker().scene(7, 4.0), maker(1).scene(7, 4.0)
    np.testing.assert_array_equal(one.audio, two.audio)
    assert one.caption == two.caption
    assert not np.array_equal(one.audio, other.audio)


def test_a_caption_is_true_of_its_scene() -> None:
    """What the caption names is in the audio; what it does not name is not."""
    hz = {"Dog bark": 500.0, "Rain": 1500.0, "Sneeze": 4500.0}
    grammar, scenes = load_grammar(), maker()
    kinds = set()
    for number in range(120):
        scene = scenes.scene(number, 4.0)
        kinds.add(tuple(sorted(scene.labels)))
        assert all(grammar.names(scene.caption, label) for label in scene.labels)
        assert np.isfinite(scene.audio).all()
        assert np.abs(scene.audio).max() <= 1.0
        power = np.abs(np.fft.rfft(scene.audio)) ** 2
        freqs = np.fft.rfftfreq(len(scene.audio), 1 / RATE)
        total = power.sum()
        share = {
            # Scenes may play a clip up to 10 % slower or faster.
            label: power[(freqs > 0.88 * f) & (freqs < 1.12 * f)].sum() / total
            for label, f in hz.items()
        }
        if set(scene.labels) <= set(hz):
            for label, part in share.items():
                if label in scene.labels:
                    assert part > 0.004, (number, scene.labels, share)
                else:
                    assert part < 0.05, (number, scene.labels, share)
    assert (QUIET,) in kinds
    assert ("Dog bark", "Rain") in kinds


def bursts(audio: np.ndarray) -> int:
    """How often the level rises by 20 dB above the room's, with 60 ms of pause before."""
    blocks = audio[: len(audio) // 640 * 640].reshape(-1, 640)
    power = (blocks**2).mean(axis=1)
    loud = power > power.max() * 0.05
    pause = np.convolve(~loud, np.ones(3))[: len(loud)] >= 2.5
    return int(loud[0]) + int((loud[1:] & pause[:-1]).sum())


def test_a_short_event_comes_once_or_again_and_a_long_sound_may_start_or_stop_within() -> None:
    t = np.arange(RATE // 2) / RATE
    bark = (np.sin(2 * np.pi * 500.0 * t) * 9000).astype(np.int16)
    rain = np.random.default_rng(0).integers(-9000, 9000, 10 * RATE).astype(np.int16)
    clips = [clip_of("Dog bark"), clip_of("Rain", "ambience")]
    scenes = SceneMaker(clips, [bark, rain], load_grammar(), 0)
    heard = [scenes.scene(n, 5.0) for n in range(120)]
    counts = [bursts(s.audio) for s in heard if s.labels == ["Dog bark"]]
    assert min(counts) >= 1
    assert {1, 2, 3} <= set(counts)

    shares = []
    for scene in heard:
        if scene.labels == ["Rain"]:
            power = (scene.audio.reshape(100, -1) ** 2).mean(axis=1)
            shares.append((power > power.max() * 0.05).mean())
    assert min(shares) > 0.3
    assert 0.1 < np.mean(np.array(shares) < 0.95) < 0.5


def test_noise_falls_as_it_should() -> None:
    noise = shaped_noise(np.random.default_rng(0), 10 * RATE, 2.0)
    assert np.sqrt(np.mean(noise**2)) == pytest.approx(1.0, abs=1e-3)
    power = np.abs(np.fft.rfft(noise)) ** 2
    freqs = np.fft.rfftfreq(len(noise), 1 / RATE)
    octaves = [power[(freqs >= f) & (freqs < 2 * f)].mean() for f in (100, 400, 1600)]
    for low, high in itertools.pairwise(octaves):
        assert 10 * math.log10(low / high) == pytest.approx(12.0, abs=1.0)


def test_silence_around_a_sound_is_cut() -> None:
    audio = np.zeros(3 * RATE, np.int16)
    audio[RATE : 2 * RATE] = 5000
    assert len(trim(audio)) == pytest.approx(RATE, abs=RATE // 25)


# --- losses


def test_caption_loss_is_cross_entropy_over_words_alone() -> None:
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[1, 4, PAD], [2, PAD, PAD]])
    picked = [(0, 0, 1), (0, 1, 4), (1, 0, 2)]
    expected = -sum(logits[b, i].log_softmax(0)[t] for b, i, t in picked) / 3
    assert caption_loss(logits, targets, 0.0).item() == pytest.approx(float(expected), abs=1e-5)


def test_contrastive_loss_is_least_for_matching_pairs() -> None:
    torch.manual_seed(0)
    kd = EncoderDistillation(8, 8, 16)
    kd.teacher.load_state_dict(kd.student.state_dict())
    x = torch.randn(6, 8)
    similarity = torch.nn.functional.normalize(kd.student(x), dim=1)
    logits = similarity @ similarity.T * math.exp(2.66)
    by_hand = -torch.log_softmax(logits, 1).diagonal().mean()
    assert kd.contrastive(x, x).item() == pytest.approx(by_hand.item(), abs=1e-4)
    assert kd.contrastive(x, x) < kd.contrastive(x, x.roll(1, 0))


def test_mse_is_in_standard_deviations_of_the_teacher() -> None:
    kd = EncoderDistillation(4, 4, 8)
    with torch.no_grad():
        kd.regress.weight.copy_(torch.eye(4))
        kd.regress.bias.zero_()
        kd.mean.fill_(1.0)
        kd.std.fill_(2.0)
    teacher = torch.full((3, 4), 5.0)
    assert kd.mse(torch.full((3, 4), 2.0), teacher).item() == 0.0
    assert kd.mse(torch.full((3, 4), 3.0), teacher).item() == pytest.approx(1.0)


# --- teacher and student


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


def test_a_padded_caption_does_not_change_earlier_logits() -> None:
    """The decoder is causal."""
    torch.manual_seed(0)
    student = Student(StudentSpec(20)).eval()
    features = torch.randn(1, 200, 64)
    one, _ = student(features, torch.tensor([[1, 5, 6]]))
    two, _ = student(features, torch.tensor([[1, 5, 9]]))
    torch.testing.assert_close(one[:, :2], two[:, :2])
    assert not torch.allclose(one[:, 2], two[:, 2])


def test_imagenet_values_land_where_they_belong() -> None:
    """Values in the published naming and order, shapes of Lite0; anything else is refused."""
    own = Student(StudentSpec(20)).encoder
    state = {
        f"_part{i}.{name}": torch.randn_like(value) if value.is_floating_point() else value
        for i, (name, value) in enumerate(own.state_dict().items())
    }
    first = next(iter(state))
    state[first] = torch.randn(32, 3, 3, 3)
    own.load_imagenet(state)
    values = [v for k, v in own.state_dict().items() if "num_batches" not in k]
    torch.testing.assert_close(values[0], state[first].sum(1, keepdim=True))
    torch.testing.assert_close(values[-1], list(state.values())[-2])
    with pytest.raises(ValueError, match="not the values"):
        own.load_imagenet(dict(list(state.items())[:-9]))


# --- training and evaluation


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six made-up clips of two labels, in the corpus's layout."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = ["id,path,label,kind,source,licence,split"]
    for i in range(6):
        label, hz = [("Dog bark", 600.0), ("Rain", 3000.0)][i % 2]
        t = np.arange(3 * RATE) / RATE
        soundfile.write(folder / f"{i}.wav", 0.3 * np.sin(2 * np.pi * hz * t), RATE)
        rows.append(f"{i},{i}.wav,{label},event,made up,CC0,{'val' if i > 3 else 'train'}")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tagger with random weights: speed and shapes, not sense."""
    folder = tmp_path_factory.mktemp("teacher")
    torch.manual_seed(0)
    torch.save(Tagger().state_dict(), folder / "mn04_as_mAP_432.pt")
    return folder


def config_with(folder: Path, **changes: object) -> Path:
    values = yaml.safe_load((ROOT / "distill" / "first.yaml").read_text())
    small = {"batch": 4, "seconds": [2.0, 2.0], "warmup": 2, "checkpoint_every": 2}
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(values | small | changes))
    return path


def test_training_writes_a_checkpoint_and_goes_on_from_it(
    corpus: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--corpus", str(corpus), "--teacher", str(teacher), "--out", str(tmp_path / "run")]
    assert main(["train", str(config_with(tmp_path, steps=2)), *places]) == 0
    before = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    assert main(["train", str(config_with(tmp_path, steps=4)), *places]) == 0
    assert "going on from step 2" in capsys.readouterr().out
    after = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    assert (before["step"], after["step"]) == (2, 4)
    name = "decoder.embedding.weight"
    assert not torch.equal(before["student"][name], after["student"][name])
    checkpoint = load_checkpoint(tmp_path / "run" / "last.pt")
    assert checkpoint.training["sources"] == [{"source": "made up", "licence": "CC0", "clips": 4}]


def test_a_step_lowers_the_losses_on_its_own_batch(corpus: Path, teacher: Path) -> None:
    config = training.read_config(config_with(corpus, steps=30, peak_lr=1e-3))
    grammar = load_grammar()
    vocabulary = Vocabulary(grammar.words())
    clips = [c for c in read_clips(corpus) if c.split == "train"]
    audio = [np.full(2 * RATE, 500, np.int16) for _ in clips]
    data = training.Batches(SceneMaker(clips, audio, grammar, 0), vocabulary, config)
    trainer = training.Trainer(config, vocabulary, load_tagger(teacher), {})
    batch = data[0]
    trainer.scale_teacher([batch])
    losses = [trainer.update(batch) for _ in range(12)]
    for name in ("caption", "contrastive"):
        assert losses[-1][name] < losses[0][name], losses


@pytest.mark.parametrize(
    ("missing", "says"),
    [("clips.csv", "clips.csv: no such file"), ("0.wav", "0.wav: no such file")],
)
def test_missing_data_is_one_line(
    corpus: Path, teacher: Path, tmp_path: Path, missing: str, says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    place = tmp_path / "corpus"
    place.mkdir()
    for path in corpus.iterdir():
        if path.name != missing:
            (place / path.name).write_bytes(path.read_bytes())
    arguments = ["--corpus", str(place), "--teacher", str(teacher), "--out", str(tmp_path / "r")]
    assert main(["train", str(config_with(tmp_path, steps=2)), *arguments]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert len(err.splitlines()) == 1


def test_an_unknown_key_of_an_experiment_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"missing or unknown: colour"):
        training.read_config(config_with(tmp_path, colour="red"))


def test_the_table_counts_and_gives_an_interval() -> None:
    clips = [clip_of("Rain"), clip_of("Rain"), clip_of("Steam train")]
    captions = ["rain falls", "a dog barks", "a train is passing"]
    results = [
        Result(c, text, 0.9, named, False)
        for c, text, named in zip(clips, captions, [True, False, True], strict=True)
    ]
    text = table({"int8": results}, {"Rain"})
    assert "| Rain | 2 | 1 | a dog barks |" in text
    assert "| Steam train (no training clip) | 1 | 1 |  |" in text
    assert "| **all** | 3 | **66.7%**" in text
    assert "| **labels with training clips** | 2 | **50.0%**" in text
    low, high = interval(8, 10)
    assert (low, high) == (pytest.approx(0.490, abs=1e-3), pytest.approx(0.943, abs=1e-3))


def test_evaluate_runs_on_a_corpus(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--corpus", str(corpus), "--verbose"]) == 0
    out = capsys.readouterr().out
    assert "word for word" in out
    assert "| **all** | 2 |" in out
