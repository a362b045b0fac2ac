"""The probe: windows, stored embeddings, training, scores, and the table of what data is worth."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distill.cli import main
from distill.corpus.ontology import Group, Ontology
from distill.errors import CorpusError
from distill.probe.classifier import ProbeConfig, train_probe
from distill.probe.clips import read_probe_clips
from distill.probe.embeddings import embed_clips
from distill.probe.page import page
from distill.probe.run import Data, examine, load, train_on, training_clips
from distill.probe.scores import Guesses, guess, reliability, score
from distill.probe.windows import HOP, WINDOW, clip_windows
from distill.probe.worth import HEADING, section, worth, write_section
from distill.scenes.noise import RATE
from tests.made_up import the_line, tone, write_corpus, write_tagger

ONTOLOGY = Ontology(
    {name: Group(name, "event", parent)
     for name, parent in (("animal", ""), ("dog", "animal"), ("person", ""), ("weather", ""))},
    {"Bark": "dog", "Howl": "dog", "Cough": "person", "Sneeze": "person", "Rain": "weather"},
)  # fmt: skip
QUICK = ProbeConfig(hidden=32, epochs=20, batch=16, rate=2e-2)


def bands(audio: np.ndarray) -> np.ndarray:
    """An embedding that can tell tones: log power in 32 bands."""
    power = np.abs(np.fft.rfft(audio, axis=1)[:, 1:]) ** 2
    return np.log10(power[:, : len(power[0]) // 32 * 32].reshape(len(audio), 32, -1).mean(2) + 1e-3)


def corpus_of(folder: Path, rows: list[tuple[str, float, str, str, float]]) -> Path:
    """Write a corpus of tones; rows are label, Hz, source, split and seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "clips.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "source", "source_path", "excerpt_start_s", "split"])
        for i, (label, hz, source, split, seconds) in enumerate(rows):
            soundfile.write(folder / f"{i}.wav", tone(hz, seconds), RATE)
            table.writerow([f"{i}.wav", label, source, f"clip{i}.wav", 0.0, split])
    return folder


def tones(folder: Path) -> Path:
    rows = []
    for i in range(4):
        for label, hz in (("Bark", 700.0), ("Cough", 3000.0), ("Rain", 9000.0)):
            split = ("train", "train", "val", "test")[i]
            rows.append((label, hz * (1 + 0.02 * i), f"from {i}", split, 0.5 + i))
    return corpus_of(folder, rows)


def data_of(folder: Path, collections: dict[str, str] | None = None) -> Data:
    return load(folder, ONTOLOGY, collections or {}, bands, "bands")


# --- windows


def test_windows_of_a_long_clip_cover_it() -> None:
    audio = np.arange(2 * WINDOW, dtype=np.float32)
    windows = clip_windows(audio, "a")
    assert [int(w.audio[0]) for w in windows] == [0, HOP, WINDOW]
    assert all(w.heard and len(w.audio) == WINDOW for w in windows)
    # No window is nearly the same as the last one.
    slightly = clip_windows(audio[: WINDOW + HOP // 3], "a")
    assert [int(w.audio[0]) for w in slightly] == [HOP // 3]


def test_a_short_clip_lies_in_faint_noise_and_is_heard_once() -> None:
    audio = np.full(RATE, 0.5, np.float32)
    placed, repeated = clip_windows(audio, "a")
    assert (placed.heard, repeated.heard) == (True, False)
    loud = placed.audio > 0.25
    assert loud.sum() == RATE
    assert 10 ** (-75 / 20) * 0.9 < np.std(placed.audio[~loud]) < 10 ** (-60 / 20) * 1.1
    assert (repeated.audio > 0.25).sum() > 3 * RATE
    np.testing.assert_array_equal(placed.audio, clip_windows(audio, "a")[0].audio)
    assert not np.array_equal(placed.audio, clip_windows(audio, "b")[0].audio)


# --- embeddings


def test_embeddings_are_computed_once(tmp_path: Path) -> None:
    clips = read_probe_clips(tones(tmp_path), ONTOLOGY, {})
    store = tmp_path / "probe" / "bands.npz"
    seen = 0

    def counted(audio: np.ndarray) -> np.ndarray:
        nonlocal seen
        seen += len(audio)
        return bands(audio)

    first = embed_clips(clips, counted, store, lambda _: None)
    assert seen == len(first.clip) > len(clips)
    assert sorted(set(first.clip.tolist())) == [*range(len(clips))]
    again = embed_clips(clips[::-1], counted, store, lambda _: None)
    assert seen == len(first.clip)
    np.testing.assert_array_equal(
        again.embedding[again.clip == 0], first.embedding[first.clip == len(clips) - 1]
    )
    soundfile.write(clips[0].file, tone(500.0, 0.7), RATE)
    embed_clips(clips, counted, store, lambda _: None)
    assert seen == len(first.clip) + 2, "a clip that was built again is embedded again"
    store.write_bytes(b"cut off")
    embed_clips(clips, counted, store, lambda _: None)
    assert seen == 2 * len(first.clip) + 2, "a damaged store is made again"


# --- the probe


def test_the_probe_names_tones_on_other_sources(tmp_path: Path) -> None:
    data = data_of(tones(tmp_path))
    examined = examine(data, training_clips(data), QUICK)
    result = score(examined.guesses, data.of_split("test"))
    assert (result.clips, result.top1.share, result.top3.share) == (3, 1.0, 1.0)
    assert result.top1.low < 0.5, "three clips are not many"
    again = train_on(data, training_clips(data), QUICK).probabilities(data.windows.embedding)
    np.testing.assert_array_equal(again, examined.probe.probabilities(data.windows.embedding))
    text = page(examined)
    assert "| test | 3 |" in text
    assert "| Bark | val | 2 | 1 | 100 %" in text
    assert "| dog | val | 2 | 1 | 100 %" in text
    assert "Expected calibration error" in text


def test_a_group_teaches_that_one_of_its_labels_sounds() -> None:
    rng = np.random.default_rng(0)
    low, high = rng.normal(-3, 1, (40, 4)), rng.normal(3, 1, (40, 4))
    x = np.concatenate([low, high]).astype(np.float32)
    labels = ["Bark", "Howl"] * 5 + ["dog"] * 30 + ["Cough"] * 2 + ["Rain"] * 38
    probe = train_probe(x, labels, {"dog": {"Bark", "Howl"}, "empty": {"Owl"}}, QUICK)
    assert probe.labels == ["Bark", "Cough", "Howl", "Rain"]
    said = probe.probabilities(x)
    np.testing.assert_allclose(said.sum(1), 1.0, rtol=1e-5)
    assert (said[:40, [0, 2]].sum(1) > 0.9).all()
    with pytest.raises(CorpusError, match="two labels"):
        train_probe(x[:10], ["Bark"] * 10)


def test_labels_without_training_are_wrong_but_may_be_named_by_group(tmp_path: Path) -> None:
    rows = [("Bark", 700.0, "a", "train", 1.0), ("Rain", 9000.0, "a", "train", 1.0)] * 3
    rows += [("Howl", 710.0, "b", "test", 1.0), ("animal", 705.0, "b", "test", 1.0),
             ("person", 9000.0, "b", "test", 1.0)]  # fmt: skip
    data = data_of(corpus_of(tmp_path, rows))
    found = guess(train_on(data, range(6), QUICK), data.windows, data.clips, ONTOLOGY)
    howl, animal, person = (score(found, [i]) for i in (6, 7, 8))
    assert (howl.top1.share, howl.named.share) == (0.0, 1.0)
    assert (animal.top1.share, animal.named.share) == (0.0, 1.0)
    assert (person.top1.share, person.named.share) == (0.0, 0.0)
    both = score(found, [6, 7])
    assert both.clips == 2
    assert both.top1.high == score(found, [6]).top1.high, "only one of them has a label"


def test_reliability_counts_how_often_a_confidence_is_right() -> None:
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.25, 0.25], np.float32)
    right = np.array([True, True, True, False, False, True])
    labelled = np.ones(6, np.bool_)
    guesses = Guesses(np.arange(6), labelled, confidence, right, right, right)
    found = reliability(guesses, range(6))
    assert [(b.windows, round(b.right, 2)) for b in found.bins] == [(2, 0.5), (4, 0.75)]
    assert found.error == pytest.approx((4 * 0.2 + 2 * 0.25) / 6, abs=1e-6)
    assert found.sure == pytest.approx(4 / 6)
    assert found.sure_right == 0.75


# --- the table


def test_the_table_adds_one_collection_after_the_other(tmp_path: Path) -> None:
    rows = [("Bark", 700.0, "a", "train", 1.0), ("Cough", 3000.0, "a", "train", 1.0),
            ("Rain", 9000.0, "b", "train", 1.0), ("Rain", 9100.0, "c", "test", 1.0)]  # fmt: skip
    data = data_of(corpus_of(tmp_path / "new", rows), {"a": "games", "b": "fields"})
    before = data_of(corpus_of(tmp_path / "old", rows[:2]))
    table = worth(data, before)
    assert [row.name for row in table] == ["the corpus before", "the same sources now", "+ fields"]
    assert [row.test.top1.share for row in table] == [0.0, 0.0, 1.0]
    assert [row.name for row in worth(data, None)] == ["games", "+ fields"]
    page = tmp_path / "page.md"
    page.write_text("# Card\n\n## Checks\n\nNone.\n", encoding="utf-8")
    write_section(page, section(table[:1]))
    with open(page, "a", encoding="utf-8") as file:
        file.write("\n## Sources\n\nMany.\n")
    write_section(page, section(table))
    text = page.read_text(encoding="utf-8")
    assert text.count(HEADING) == 1
    assert "| + fields | 3 | 3 |" in text
    assert text.index("## Checks") < text.index(HEADING) < text.index("## Sources")


def test_sources_and_collections_can_be_left_out(tmp_path: Path) -> None:
    data = data_of(tones(tmp_path), {"from 0": "games"})
    assert len(training_clips(data)) == 6
    assert len(training_clips(data, ["games"])) == 3
    assert len(training_clips(data, ["from 1"])) == 3
    with pytest.raises(CorpusError, match="'from 7' is no source"):
        training_clips(data, ["from 7"])
    with pytest.raises(CorpusError, match="no training clips left"):
        training_clips(data, ["games", "from 1"])


# --- the command


def test_the_command_prints_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, teacher = write_corpus(tmp_path / "corpus"), write_tagger(tmp_path / "teacher")
    assert main(["probe", str(corpus), "--teacher", str(teacher)]) == 0
    out = capsys.readouterr().out
    assert "| val | 4 |" in out
    assert "| Sneeze | test | 2 | 1 |" in out
    page, before = tmp_path / "page.md", ["--before", str(corpus)]
    arguments = ["probe", str(corpus), "--teacher", str(teacher), "--table", str(page), *before]
    assert main(arguments) == 0
    assert "| the corpus before | 8 | 4 |" in page.read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(["probe", str(corpus), "--teacher", str(teacher), "--without", "x"]) == 2
    assert the_line(capsys.readouterr().err).startswith("--without: 'x' is no source")
    assert main(["probe", str(tmp_path), "--teacher", str(teacher)]) == 2
    assert "clips.csv: no such file" in the_line(capsys.readouterr().err)
