"""The open corpus: tables, cutting, checks, near-duplicates, choice of clips, and a small build."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distill.cli import main
from distill.corpus.build import build
from distill.corpus.card import card
from distill.corpus.clip_files import Piece
from distill.corpus.cutting import RATE, cut, fault
from distill.corpus.dataset import read_clips
from distill.corpus.duplicates import without_duplicates
from distill.corpus.fingerprint import fingerprint, near_duplicates
from distill.corpus.instruments import phrase
from distill.corpus.ontology import load_ontology
from distill.corpus.plots import plot
from distill.corpus.selection import BANK_MOST, LEAST, MOST, Candidate, capped, split_of
from distill.corpus.sources import Recording
from distill.corpus.synthetic import MAKERS, synthesise
from distill.corpus.tables import BANK, OUT, SPLITS, Instrument, load_recipe
from distill.errors import CorpusError
from tests.helpers import ROOT

RNG = np.random.default_rng(0)


def burst(seconds: float, level: float = 0.2) -> np.ndarray:
    """A tone and noise that change all the time, as real sounds do."""
    size = int(seconds * RATE)

    def wander(step: int, low: float, high: float) -> np.ndarray:
        points = np.arange(0, size + 2 * step, step)
        return np.interp(np.arange(size), points, RNG.uniform(low, high, len(points)))

    tone = np.sin(np.cumsum(wander(3000, 0.02, 0.5)))
    noise = 0.3 * RNG.standard_normal(size)
    return (level * wander(2000, 0.1, 1.0) * (tone + noise)).astype(np.float32)


# --- tables


def test_the_tables_agree() -> None:
    recipe, ontology = load_recipe(), load_ontology()
    assert len(recipe.labels) >= 300
    assert {label.name for label in recipe.labels.values() if label.synthetic} == set(MAKERS)
    known = {*recipe.labels, *ontology.groups}
    assert {*recipe.aliases.values()} <= {*known, OUT}
    assert not set(recipe.aliases) & known
    for package in recipe.packages:
        assert package.split in SPLITS
        assert package.licence not in ("", "?"), package


def test_the_first_rule_that_matches_decides() -> None:
    recipe = load_recipe()
    sounds = "usr/share/scratch/Media/Sounds"
    bark = recipe.rule_of("scratch", f"{sounds}/Animal/Dog1.wav")
    assert bark is not None
    assert bark.label == "Bark"
    left = recipe.rule_of("scratch", f"{sounds}/Electronic/Laser1.wav")
    assert left is not None
    assert not left.takes
    assert recipe.rule_of("scratch", f"{sounds}/Animal/Unheard.wav") is None


def test_a_table_that_contradicts_another_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "recipe"
    shutil.copytree(ROOT / "distill" / "corpus", folder)
    with open(folder / "rules.csv", "a", encoding="utf-8") as file:
        file.write("scratch,*/x.wav,Unicorn,\n")
    with pytest.raises(CorpusError, match=r"'Unicorn' is not in labels\.yaml"):
        load_recipe(folder)


# --- cutting and checks


def test_silence_around_a_sound_is_cut_and_long_recordings_give_excerpts() -> None:
    quiet = np.zeros(2 * RATE, np.float32)
    (one,) = cut(np.concatenate([quiet, burst(1.0), quiet]))
    assert one.start_s == pytest.approx(2.0, abs=0.05)
    assert len(one.audio) == pytest.approx(RATE, abs=RATE // 20)
    many = cut(burst(35.0))
    assert len(many) == 3
    assert all(len(e.audio) == 10 * RATE for e in many)
    starts = [e.start_s for e in many]
    assert min(np.diff(starts)) >= 10.0
    assert len(cut(burst(300.0))) == 12


@pytest.mark.parametrize("kind", ["too short", "silent", "clipped", "not finite", ""])
def test_clips_of_no_use_are_told(kind: str) -> None:
    audio = {
        "too short": burst(0.1),
        "silent": burst(1.0, 1e-4),
        "clipped": np.clip(burst(1.0, 8.0), -0.8, 0.8),
        "not finite": np.full(RATE, np.nan, np.float32),
        "": burst(1.0),
    }[kind]
    assert fault(audio) == kind


def test_the_same_recording_is_found_at_another_level_start_and_encoding(tmp_path: Path) -> None:
    clips = [burst(3.0) for _ in range(12)]
    prints = [fingerprint(audio) for audio in clips]
    assert near_duplicates(prints) == []
    path = tmp_path / "again.ogg"
    for original in (2, 7, 9):
        soundfile.write(path, clips[original][3000:] * 0.3, RATE)
        again, _ = soundfile.read(path, dtype="float32")
        prints.append(fingerprint(again))
    assert near_duplicates(prints) == [(2, 12), (7, 13), (9, 14)]


# --- choice


def candidate(label: str, source: str, number: int, split: str = "train") -> Candidate:
    recording = Recording(label, source, "1", f"{number}.wav", "CC0", split)
    return Candidate(recording, Piece(f"{source}{number}", 0.0, 1.0 + number % 3, ""))


def test_of_duplicates_the_test_clip_stays_and_contradictions_go() -> None:
    clips = [
        candidate("Bark", "a", 0),
        candidate("Bark", "b", 1, "test"),
        candidate("Rain", "a", 2),
        candidate("Wind", "b", 3),
        candidate("Owl", "a", 4),
    ]
    kept, gone = without_duplicates(clips, [(0, 1), (2, 3)])
    assert kept == [clips[1], clips[4]]
    assert {c.recording.label for c, _ in gone} == {"Bark", "Rain", "Wind"}


def test_no_label_is_too_large_and_no_source_above_its_part() -> None:
    one = [candidate("Rain", "a", n) for n in range(700)]
    assert len(capped(one)) == MOST
    two = one + [candidate("Rain", "b", n) for n in range(80)]
    assert Counter(c.recording.source for c in capped(two)) == {"a": 80, "b": 80}
    three = two + [candidate("Rain", "c", n) for n in range(80)]
    counts = Counter(c.recording.source for c in capped(three))
    assert max(counts.values()) <= sum(counts.values()) / 3
    few = [candidate("Owl", "a", n) for n in range(80)] + [candidate("Owl", "b", 0)]
    assert len(capped(few)) == LEAST + 1


def test_the_bank_of_instruments_gives_fewer_clips_than_recordings_may() -> None:
    bank = [candidate("Piano", BANK, n) for n in range(200)]
    assert len(capped(bank)) == BANK_MOST < LEAST


def test_excerpts_of_a_recording_share_a_split_and_packages_keep_theirs() -> None:
    splits = [split_of(candidate("Rain", "a", n, "").recording) for n in range(2000)]
    assert set(splits) == {"train", "val"}
    assert 0.05 < splits.count("val") / len(splits) < 0.09
    assert split_of(candidate("Rain", "a", 1, "test").recording) == "test"


# --- what the build makes


def test_synthetic_sounds_are_what_they_are_called() -> None:
    spectrum = np.abs(np.fft.rfft(synthesise("Sine wave", 3))) ** 2
    assert spectrum.max() > 0.3 * spectrum.sum()
    hum = np.abs(np.fft.rfft(synthesise("Mains hum", 3))) ** 2
    freqs = np.fft.rfftfreq(10 * RATE, 1 / RATE)
    assert hum[freqs < 1600].sum() > 0.9 * hum.sum()
    np.testing.assert_array_equal(synthesise("Pink noise", 1), synthesise("Pink noise", 1))
    for label in MAKERS:
        assert np.abs(synthesise(label, 0)).max() == pytest.approx(0.5, abs=1e-3)
        assert fault(synthesise(label, 0)) == ""


def test_a_phrase_is_a_midi_file_that_ends_every_note_it_starts() -> None:
    for style in ("melody", "chord", "sustained", "single", "drum"):
        bank = 128 if style == "drum" else 0
        data = phrase(Instrument("Piano", bank, 0, 48, 72, style), 5)
        assert data[:4] == b"MThd"
        assert data[14:18] == b"MTrk"
        assert int.from_bytes(data[18:22], "big") == len(data) - 22
        assert data == phrase(Instrument("Piano", bank, 0, 48, 72, style), 5)
        channel = 9 if style == "drum" else 0
        assert data.count(bytes([0x90 | channel])) >= 1


# --- a small build, with real packages


def small_recipe(folder: Path) -> Path:
    """Two packages of less than a megabyte, and nothing that must be rendered."""
    folder.mkdir()
    (folder / "labels.yaml").write_text(
        "Bark: {kind: event, audioset: [Bark, Dog]}\n"
        "Glass shatter: {kind: event}\n"
        "Camera: {kind: event}\n"
        "Pink noise: {kind: ambience, synthetic: true}\n",
        encoding="utf-8",
    )
    (folder / "packages.csv").write_text(
        "package,version,licence,split\n"
        "ukui-media,0-no-such-version,GPL-2+,test\n"
        "sound-theme-freedesktop,,CC-BY-SA-3.0,train\n",
        encoding="utf-8",
    )
    (folder / "rules.csv").write_text(
        "package,pattern,label,note\n"
        "ukui-media,*/bark.ogg,Bark,\n"
        "ukui-media,*/glass.ogg,Glass shatter,\n"
        "ukui-media,*/never.ogg,Bark,\n"
        "sound-theme-freedesktop,*/camera-shutter.oga,Camera,\n",
        encoding="utf-8",
    )
    (folder / "instruments.csv").write_text(
        "label,bank,program,low_note,high_note,style\n", encoding="utf-8"
    )
    return folder


def test_a_small_corpus_is_built_from_packages_and_a_second_build_goes_on(tmp_path: Path) -> None:
    if shutil.which("apt-get") is None:
        pytest.skip("needs apt-get, as the build does")
    recipe = load_recipe(small_recipe(tmp_path / "recipe"))
    out, cache = tmp_path / "corpus", tmp_path / "cache"
    try:
        built = build(recipe, out, cache, [], None, lambda _: None)
    except CorpusError as error:
        if "cannot be downloaded" not in str(error):
            raise
        pytest.skip(f"no Debian archive within reach: {error}")
    clips = read_clips(out)
    assert {"Bark", "Glass shatter", "Camera", "Pink noise"} == {c.label for c in clips}
    assert all(soundfile.info(c.path).samplerate == RATE for c in clips)
    assert {c.split for c in clips if c.source == "ukui-media"} == {"test"}
    assert built.gathered.caught["ukui-media", "*/bark.ogg"] >= 1
    with open(out / "clips.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    versions = {row["version"] for row in rows if row["source"] == "ukui-media"}
    assert "0-no-such-version" not in versions  # the version that it really is
    text = card(built)
    assert "| Bark |  | label |" in text
    assert "- ukui-media: `*/never.ogg`" in text
    plot(built, tmp_path / "plots.png")
    assert (tmp_path / "plots.png").read_bytes()[:4] == b"\x89PNG"

    first = (out / "clips.csv").read_bytes()
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.ogg")}
    build(recipe, out, cache, [], None, lambda _: None)
    assert (out / "clips.csv").read_bytes() == first
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.ogg")} == times


def test_a_missing_teacher_or_corpus_is_named_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("apt-get") is None:
        pytest.skip("needs apt-get, as the build does")
    for option in ("--teacher", "--shared"):
        out = tmp_path / "out"
        assert main(["corpus", "build", str(out), option, str(tmp_path / "none")]) == 2
        error = capsys.readouterr().err
        assert str(tmp_path / "none") in error
        assert error.count("\n") == 1
        assert not out.exists()


def test_without_apt_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["corpus", "build", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("aac-distill: apt-get is missing: the corpus is built from Debian")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
