"""Sources of the corpus: repositories, archives, shared corpora, licences, splits and decisions."""

from __future__ import annotations

import csv
import struct
import subprocess
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distill.cli import main
from distill.corpus.archives import SourceTree, rcc_files
from distill.corpus.build import Built, build
from distill.corpus.card import card
from distill.corpus.clip_files import Piece
from distill.corpus.credits import credits, read_rows, table
from distill.corpus.cutting import RATE
from distill.corpus.dataset import read_clips
from distill.corpus.decisions import Decision, decided
from distill.corpus.duplicates import without_duplicates
from distill.corpus.file_table import FileRow, normalise
from distill.corpus.fingerprint import fingerprint, near_duplicates
from distill.corpus.licences import is_free
from distill.corpus.repositories import checkout
from distill.corpus.selection import Candidate, thin_labels, too_short
from distill.corpus.sources import Recording, gather, shared_folders
from distill.corpus.tables import Package, Recipe, Repository, load_recipe
from distill.errors import CorpusError

HEADER = "id,path,label,duration_s,source,source_path,excerpt_start_s,licence,split\n"


def sound(seed: int, seconds: float = 2.0) -> np.ndarray:
    """A tone and noise that change all the time, as real sounds do; another for each seed."""
    rng = np.random.default_rng(seed)
    size = int(seconds * RATE)

    def wander(step: int, low: float, high: float) -> np.ndarray:
        points = np.arange(0, size + 2 * step, step)
        return np.interp(np.arange(size), points, rng.uniform(low, high, len(points)))

    tone = np.sin(np.cumsum(wander(3000, 0.02, 0.5))) + 0.3 * rng.standard_normal(size)
    return (0.2 * wander(2000, 0.1, 1.0) * tone).astype(np.float32)


def write(path: Path, audio: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, RATE)
    return path


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def repository(folder: Path, files: dict[str, np.ndarray]) -> str:
    """A git repository with recordings; its address."""
    for name, audio in files.items():
        write(folder / name, audio)
    git(folder, "init", "-q")
    git(folder, "config", "uploadpack.allowFilter", "true")
    git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "sounds")
    return f"file://{folder}"


def shared(folder: Path, rows: list[tuple[str, str, str, float, str, str]]) -> Path:
    """A labelled corpus: rows of label, source, path, start, licence and split; made-up sounds."""
    lines = []
    for number, (label, source, path, start, licence, split) in enumerate(rows):
        seed = sum(map(ord, source + path)) + int(start)
        write(folder / f"audio/{number}.wav", sound(seed))
        lines.append(
            f'{number},audio/{number}.wav,"{label}",2.0,{source},{path},{start},{licence},{split}\n'
        )
    (folder / "clips.csv").write_text(HEADER + "".join(lines), encoding="utf-8")
    return folder


def recipe_of(folder: Path, **tables: str) -> Recipe:
    """A recipe of a few labels and the given tables."""
    folder.mkdir(exist_ok=True)
    texts = {
        "labels.yaml": "Bark: {kind: event, group: animal}\nMeow: {kind: event, group: animal}\n"
        "Rain: {kind: ambience, group: weather}\nKnock: {kind: event, group: impact, "
        "series: [0.2, 0.5]}\n",
        "groups.yaml": "animal: {kind: event}\nweather: {kind: ambience}\nimpact: {kind: event}\n",
        "packages.csv": "package,version,licence,split,collection\n",
        "rules.csv": "package,pattern,label,note\n",
        "instruments.csv": "label,bank,program,low_note,high_note,style\n",
    }
    texts |= {f"{name}.csv": text for name, text in tables.items()}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return load_recipe(folder)


REPOSITORIES = "source,address,commit,licence,split,collection\n"
FILES = "source,path,start_s,duration_s,label,licence\n"


# --- licences


@pytest.mark.parametrize(
    ("licence", "free"),
    [
        ("CC0", True),
        ("CC BY 3.0 (Attribution.xlsx: https://freesound.org/people/SoundFlakes/sounds/4/)", True),
        ("CC-BY-SA-4.0 (attributions.yml: https://freesound.org/people/Andune/sounds/1/)", True),
        ("GPL-2+, CC-BY-3.0 or CC0", True),
        ("public domain (U.S. Fish and Wildlife Service, doc/sources)", True),
        ("CC BY-NC 4.0", False),
        ("CC-BY-NC-SA-3.0", False),
        ("CC BY-ND 4.0", False),
        ("CC0 or CC BY-NC 3.0", False),
        ("GPL-2 (sounds: CC-BY-NC-SA 3.0)", False),
        ("Sampling+", False),
        ("unknown", False),
        ("free for personal use", False),
        ("?", False),
        ("", False),
    ],
)  # fmt: skip
def test_weights_may_be_redistributed_only_under_free_licences(licence: str, free: bool) -> None:
    assert is_free(licence) is free


def test_every_source_of_the_tables_is_free_and_credited() -> None:
    recipe = load_recipe()
    assert len(recipe.sources) >= 180
    for entry in recipe.sources.values():
        assert is_free(entry.licence), entry
        assert entry.collection, entry
    for row in recipe.files:
        assert row.source in recipe.sources
        assert not row.licence or is_free(row.licence), row


def test_a_source_with_another_licence_is_refused_wherever_it_stands(tmp_path: Path) -> None:
    row = "o/r,https://example.org/o/r,,CC BY-NC 3.0,train,games\n"
    with pytest.raises(CorpusError, match=r"repositories\.csv: o/r: .*BY-NC.*remove it"):
        recipe_of(tmp_path / "a", repositories=REPOSITORIES + row)
    good = "o/r,https://example.org/o/r,,CC0,train,games\n"
    with pytest.raises(CorpusError, match=r"files\.csv: o/r a\.ogg"):
        recipe_of(
            tmp_path / "b",
            repositories=REPOSITORIES + good,
            files=FILES + "o/r,a.ogg,0,1,Bark,CC BY-ND 4.0\n",
        )
    folder = shared(
        tmp_path / "shared",
        [("Bark", "o/r", "a.ogg", 0, "CC BY-NC 3.0", ""), ("Bark", "o/r", "b.ogg", 0, "CC0", "")],
    )
    found = gather(recipe_of(tmp_path / "c"), tmp_path, [folder], lambda _: None)
    assert [r.source_path for r in found.recordings] == ["b.ogg"]
    assert found.gone == ["o/r: 'CC BY-NC 3.0' does not allow redistributing weights"]


# --- repositories and archives


def test_a_repository_is_fetched_at_its_commit_without_the_files_that_nobody_needs(
    tmp_path: Path,
) -> None:
    origin = tmp_path / "origin"
    address = repository(origin, {"a/[x] dog.wav": sound(1), "other.wav": sound(2)})
    first = git(origin, "rev-parse", "HEAD")
    write(origin / "a/[x] dog.wav", sound(3))
    git(origin, "commit", "-q", "-a", "-m", "another dog")
    folder, commit = checkout(address, first, ["[x] dog.wav", "gone.wav"], tmp_path / "cache")
    assert commit == first
    assert [p.relative_to(folder).as_posix() for p in folder.rglob("*.wav")] == ["a/[x] dog.wav"]
    old, _ = soundfile.read(folder / "a/[x] dog.wav", dtype="float32")
    np.testing.assert_allclose(old, sound(1), atol=1e-3)
    newest, head = checkout(address, "", ["other.wav", "[x] dog.wav"], tmp_path / "cache")
    assert newest != folder
    assert head == git(origin, "rev-parse", "HEAD")
    origin.rename(tmp_path / "moved")  # What is here already needs no network.
    assert checkout(address, first, ["gone.wav", "[x] dog.wav"], tmp_path / "cache")[1] == first


def test_a_repository_that_is_gone_is_one_line_without_a_question(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"^file:///none/here: .*") as error:
        checkout("file:///none/here", "", ["a.wav"], tmp_path)
    assert "\n" not in str(error.value)


def test_files_are_found_by_the_end_of_their_path_also_in_archives(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write(root / "usr/share/game/sounds/dog.wav", sound(1))
    write(root / "usr/share/game/sounds/other/dog.wav", sound(2))
    with zipfile.ZipFile(root / "usr/share/game/public.pk3", "w") as archive:
        archive.write(root / "usr/share/game/sounds/dog.wav", "audio/animal/cat.wav")
        archive.writestr("audio/../../../evil.wav", b"x")
    (root / "broken.zip").write_bytes(b"no archive")
    tree = SourceTree(root, tmp_path / "extracted")
    assert tree.find("sounds/dog.wav") == root / "usr/share/game/sounds/dog.wav"
    assert tree.find("dog.wav") == root / "usr/share/game/sounds/dog.wav"
    assert tree.find("ds/dog.wav") is None
    cat = tree.find("animal/cat.wav")
    assert cat is not None
    assert cat.is_relative_to(tmp_path / "extracted")
    assert soundfile.info(cat).frames == 2 * RATE
    assert tree.find("evil.wav") is None
    assert not (tmp_path / "evil.wav").exists()


def rcc(files: dict[str, bytes]) -> bytes:
    """A Qt resource file (version 2) with one folder "res"; contents compressed like rcc's."""
    names, offsets = b"", {}
    for name in ["res", *files]:
        offsets[name] = len(names)
        encoded = name.encode("utf-16-be")
        names += struct.pack(">HI", len(name), 0) + encoded
    data, places = b"", {}
    for name, body in files.items():
        places[name] = len(data)
        packed = struct.pack(">I", len(body)) + zlib.compress(body)
        data += struct.pack(">I", len(packed)) + packed
    tree = struct.pack(">IHIIQ", 0, 2, 1, 1, 0)
    tree += struct.pack(">IHIIQ", offsets["res"], 2, len(files), 2, 0)
    for name in files:
        tree += struct.pack(">IHHHIQ", offsets[name], 1, 0, 0, places[name], 0)
    head = 20
    places_of = head, head + len(tree), head + len(tree) + len(data)
    return struct.pack(">4s4I", b"qres", 2, *places_of) + tree + data + names


def test_qt_resource_files_are_read(tmp_path: Path) -> None:
    packed = rcc({"dog.wav": b"bow", "cat.wav": b"meow"})
    assert dict(rcc_files(packed)) == {"res/dog.wav": b"bow", "res/cat.wav": b"meow"}
    with pytest.raises(ValueError, match="not a Qt resource file"):
        dict(rcc_files(b"RIFF" + bytes(40)))
    (tmp_path / "a.rcc").write_bytes(packed)
    found = SourceTree(tmp_path, tmp_path / "x").find("dog.wav")
    assert found is not None
    assert found.read_bytes() == b"bow"


# --- a build from repositories and shared corpora


@pytest.fixture
def two_sources(tmp_path: Path) -> tuple[Recipe, Path]:
    """A recipe of two repositories and one that is gone, and a shared corpus with one of them."""
    here = repository(tmp_path / "barks", {"s/dog.wav": sound(1), "s/rain.wav": sound(2, 12.0)})
    recipe = recipe_of(
        tmp_path / "recipe",
        repositories=REPOSITORIES
        + f"o/barks,{here},,CC0 (by o),train,games\no/gone,file:///none,,CC BY 4.0,train,games\n"
        + "o/meows,,,CC BY 3.0,test,games\n",
        files=FILES
        + "o/barks,dog.wav,0,2,Dog bark,\no/barks,s/rain.wav,1,10,Rain,CC BY 3.0\n"
        + "o/barks,lost.wav,0,1,Bark,\no/gone,x.wav,0,1,Bark,\no/meows,cat.wav,3,2,Meow,\n",
        aliases="alias,label,note\nDog bark,Bark,\n",
    )
    meow = ("Meow", "o/meows", "cat.wav", 3.0, "CC BY 3.0", "train")
    return recipe, shared(tmp_path / "shared", [meow])


def test_repositories_and_shared_corpora_become_clips_and_what_is_gone_is_named(
    tmp_path: Path, two_sources: tuple[Recipe, Path]
) -> None:
    recipe, folder = two_sources
    out, said = tmp_path / "corpus", list[str]()
    built = build(recipe, out, tmp_path / "cache", [folder], None, said.append)
    rows = {row["source_path"]: row for row in read_rows(out)}
    assert set(rows) == {"dog.wav", "s/rain.wav", "cat.wav"}
    assert rows["dog.wav"]["label"] == "Bark"
    assert rows["dog.wav"]["licence"] == "CC0 (by o)"
    assert rows["s/rain.wav"]["licence"] == "CC BY 3.0"
    assert float(rows["s/rain.wav"]["excerpt_start_s"]) == pytest.approx(1.0, abs=0.1)
    assert float(rows["s/rain.wav"]["duration_s"]) == pytest.approx(10.0, abs=0.1)
    assert rows["cat.wav"]["split"] == "test"  # The table of sources decides.
    assert float(rows["cat.wav"]["excerpt_start_s"]) == pytest.approx(3.0, abs=0.1)
    assert rows["cat.wav"]["level"] == "group"
    gone = [line for line in said if line.startswith("skipped: ")]
    assert len(gone) == 1
    assert "file:///none" in gone[0]
    text = card(built)
    assert "Files that their source no longer has: o/barks (1)." in text
    assert "- file:///none: " in text
    assert f"[o/barks](file://{tmp_path}/barks)" in text

    # The same build again makes nothing anew, and the same table, with the sources gone.
    first = (out / "clips.csv").read_bytes()
    (tmp_path / "barks").rename(tmp_path / "moved")
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.ogg")}
    build(recipe, out, tmp_path / "cache", [folder], None, said.append)
    assert (out / "clips.csv").read_bytes() == first
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.ogg")} == times


def test_a_shared_copy_and_the_fetched_original_are_the_same_clip(tmp_path: Path) -> None:
    address = repository(tmp_path / "origin", {"a/dog.wav": sound(7, 5.0)})
    recipe = recipe_of(
        tmp_path / "recipe",
        repositories=REPOSITORIES + f"o/r,{address},,CC0,train,games\n",
        files=FILES + "o/r,dog.wav,1.5,2,Bark,\n",
    )
    folder = shared(tmp_path / "shared", [("Bark", "o/r", "dog.wav", 1.5, "CC0", "train")])
    write(folder / "audio/0.wav", sound(7, 5.0)[int(1.5 * RATE) : int(3.5 * RATE)])
    said = list[str]()
    build(recipe, tmp_path / "one", tmp_path / "cache", [], None, said.append)
    build(recipe, tmp_path / "two", tmp_path / "cache", [folder], None, said.append)
    (one,), (two,) = read_rows(tmp_path / "one"), read_rows(tmp_path / "two")
    assert {**one, "version": ""} == {**two, "version": ""}


def test_a_folder_of_corpora_may_be_given_and_one_without_is_named(tmp_path: Path) -> None:
    for name in ("corpus", "corpus2"):
        shared(tmp_path / name, [("Bark", "o/r", "a.wav", 0, "CC0", "")])
    both = [tmp_path / "corpus", tmp_path / "corpus2"]
    assert shared_folders([tmp_path]) == both
    assert shared_folders(both) == both
    with pytest.raises(CorpusError, match=r"none/clips\.csv: no such file"):
        shared_folders([tmp_path / "none"])


def test_names_of_sources_do_not_depend_on_who_collected_them() -> None:
    assert normalise("etw-data (Debian)", "a.wav", "GPL-2+") == ("etw-data", "a.wav", "GPL-2+")
    small = normalise("small Debian packages", "usr/a.wav", "xboard: GPL-3+")
    assert small == ("xboard", "usr/a.wav", "GPL-3+")
    assert normalise("o/r (2)", "a.wav", "CC0")[0] == normalise("o/r", "a.wav", "CC0")[0] == "o/r"
    prompts = normalise("asterisk-prompt-* (Debian)", "es-co/usr/1.gsm", "GPL")
    assert prompts == ("asterisk-prompt-es-co", "usr/1.gsm", "GPL")


# --- splits and near-duplicates


def candidate(label: str, source: str, number: int, split: str = "train") -> Candidate:
    recording = Recording(label, source, "1", f"{number}.wav", "CC0", split)
    return Candidate(recording, Piece(f"{source}{number}", 0.0, 1.0 + number % 3, ""))


def test_no_source_of_the_tables_is_in_two_splits() -> None:
    recipe = load_recipe()
    splits: dict[str, set[str]] = {}
    entries: list[Package | Repository] = [*recipe.packages, *recipe.repositories]
    for entry in entries:
        splits.setdefault(entry.source, set()).add(entry.split)
    assert {source for source, found in splits.items() if len(found) > 1} == set()
    # Snap carries sounds of Scratch; both are held back for the same purpose.
    assert splits["jmoenig/Snap"] == splits["scratch"] == {"test"}


@pytest.mark.parametrize("split", ["dev", "test"])
def test_dev_and_test_have_labels_enough(split: str) -> None:
    recipe = load_recipe()
    held_back = {name for name, entry in recipe.sources.items() if entry.split == split}
    labels = {recipe.label_of(row.label) for row in recipe.files if row.source in held_back}
    labels |= {rule.label for rule in recipe.rules if rule.package in held_back}
    assert len(labels & set(recipe.labels)) >= 60


def test_of_copies_the_clip_on_the_training_side_goes() -> None:
    splits = ("train", "val", "dev", "test")
    clips = [candidate("Bark", split, n, split) for n, split in enumerate(splits)]
    for highest in range(1, 4):
        pairs = [(i, i + 1) for i in range(highest)]
        kept, gone = without_duplicates(clips[: highest + 1], pairs)
        assert [c.recording.split for c in kept] == [splits[highest]]
        assert len(gone) == highest


def test_copies_with_labels_of_one_group_are_kept_once_and_others_go() -> None:
    recipe = load_recipe()
    clips = [candidate("Bark", "a", 0), candidate("dog", "b", 2), candidate("Rain", "c", 3)]
    kept, _ = without_duplicates(clips, [(0, 1)], recipe.alike)
    assert [c.recording.source for c in kept] == ["b", "c"]  # The longer one.
    kept, _ = without_duplicates(clips, [(0, 2)], recipe.alike)
    assert [c.recording.source for c in kept] == ["b"]


def test_a_build_has_no_recording_in_two_splits(tmp_path: Path) -> None:
    """The same recordings, encoded and cut another way, in a trained and in a held-back source."""
    names = [f"{n}.wav" for n in range(6)]
    rows = [("Bark", "o/train", n, 0.0, "CC0", "") for n in names]
    folder = shared(tmp_path / "one", rows)
    copies = [("Bark", "o/dev", n, 0.0, "CC0", "dev") for n in names[:2]]
    copies += [("Bark", "o/test", n, 0.0, "CC0", "test") for n in names[1:4]]
    other = shared(tmp_path / "two", copies)
    for number, (_, _, name, *_) in enumerate(copies):
        audio, _ = soundfile.read(folder / f"audio/{names.index(name)}.wav", dtype="float32")
        (other / f"audio/{number}.wav").unlink()
        again = write(other / f"audio/{number}.ogg", 0.5 * audio[RATE // 7 :])
        again.rename(other / f"audio/{number}.wav")
    recipe = recipe_of(tmp_path / "recipe")
    built = build(recipe, tmp_path / "c", tmp_path / "k", [folder, other], None, lambda _: None)
    check_splits(built, tmp_path / "c")
    sides = {(c.recording.split, c.recording.source_path) for c in built.clips}
    assert {(s, p) for s, p in sides if s in ("dev", "test")} == {
        ("dev", "0.wav"), ("test", "1.wav"), ("test", "2.wav"), ("test", "3.wav")
    }  # fmt: skip
    assert {p for s, p in sides if s in ("train", "val")} == {"4.wav", "5.wav"}


def check_splits(built: Built, out: Path) -> None:
    """Assert that no source and no recording is on two sides of a split."""
    sides: dict[str, set[str]] = {}
    for clip in built.clips:
        side = {"val": "train"}.get(clip.recording.split, clip.recording.split)
        sides.setdefault(clip.recording.source, set()).add(side)
    assert all(len(found) == 1 for found in sides.values())
    clips = read_clips(out)
    prints = [fingerprint(soundfile.read(clip.path, dtype="float32")[0]) for clip in clips]
    crossing = [(i, j) for i, j in near_duplicates(prints) if clips[i].split != clips[j].split]
    assert crossing == []


def test_fingerprints_of_thousands_of_clips_are_compared() -> None:
    """A steady sound that all clips share proposes nothing, and each copy is found once."""
    rng = np.random.default_rng(0)
    prints = [rng.integers(0, 2**12, 300, dtype=np.uint32) * np.uint32(1048573) for _ in range(500)]
    for p in prints:
        p[:20] = 7
    copies = {n: prints[n][40:250].copy() for n in range(0, 500, 50)}
    for p in copies.values():
        p[::3] ^= np.uint32(1 << 5)
    found = near_duplicates([*prints, *copies.values()])
    assert found == [(n, 500 + k) for k, n in enumerate(copies)]


# --- labels that are thin, sounds that are short, decisions


def test_thin_labels_have_few_clips_of_few_sources_to_train_on() -> None:
    clips = [candidate("Bark", f"s{n % 2}", n) for n in range(11)]
    clips += [candidate("Meow", f"s{n % 3}", n) for n in range(3)]
    clips += [candidate("Rain", "s0", n) for n in range(12)]
    clips += [candidate("Knock", "t", n, "test") for n in range(20)]
    assert thin_labels(clips) == {"Bark", "Knock"}


def test_a_sound_of_less_than_half_a_second_is_no_ambience() -> None:
    short = replace(candidate("Rain", "a", 0), piece=Piece("x", 0.0, 0.4, ""))
    assert too_short(short, "ambience")
    assert not too_short(short, "event")
    assert not too_short(candidate("Rain", "a", 0), "ambience")


def test_single_strokes_of_sounds_that_come_in_series_are_marked(tmp_path: Path) -> None:
    rows = [("Knock", "o/r", "a.wav", 0.0, "CC0", ""), ("Knock", "o/r", "b.wav", 0.0, "CC0", ""),
            ("Bark", "o/r", "c.wav", 0.0, "CC0", "")]  # fmt: skip
    folder = shared(tmp_path / "shared", rows)
    for number, seconds in ((0, 0.5), (2, 0.5)):
        write(folder / f"audio/{number}.wav", sound(number, seconds))
    out = tmp_path / "corpus"
    build(recipe_of(tmp_path / "r"), out, tmp_path / "k", [folder], None, lambda _: None)
    assert {c.path.stem: c.stroke for c in read_clips(out)} == {
        row["path"].rsplit("/", 1)[-1][:-4]: row["source_path"] == "a.wav" for row in read_rows(out)
    }


def test_decisions_drop_and_relabel_the_excerpts_that_they_name() -> None:
    long = candidate("Rain", "a", 1)
    clips = [
        candidate("Bark", "a", 0),
        replace(long, piece=Piece("a1-0", 0.0, 10.0, "")),
        replace(long, piece=Piece("a1-20", 20.3, 10.0, "")),
        candidate("Bark", "b", 1),
    ]
    table = [
        Decision("a", "0.wav", "", "Bark", "relabel", "Meow", "a cat"),
        Decision("a", "1.wav", "20", "Rain", "drop", "", "thunder"),
        Decision("b", "1.wav", "", "Meow", "drop", "", "decided for another label"),
    ]
    kept, dropped, relabelled = decided(clips, table)
    assert [(c.recording.label, c.start_s) for c in kept] == [
        ("Meow", 0.0), ("Rain", 0.0), ("Bark", 0.0)
    ]  # fmt: skip
    assert (dropped, relabelled) == (1, 1)


def test_a_build_applies_decisions_and_says_how_many(tmp_path: Path) -> None:
    rows = [("Bark", "o/r", f"{n}.wav", 0.0, "CC0", "") for n in range(3)]
    folder = shared(tmp_path / "shared", rows)
    recipe = recipe_of(
        tmp_path / "recipe",
        decisions="source,source_path,excerpt_start_s,label,decision,new_label,reason\n"
        "o/r,0.wav,,Bark,drop,,a door\no/r,1.wav,0,Bark,relabel,Meow,a cat\n",
    )
    out = tmp_path / "corpus"
    built = build(recipe, out, tmp_path / "k", [folder], None, lambda _: None)
    assert {r["source_path"]: r["label"] for r in read_rows(out)} == {
        "1.wav": "Meow", "2.wav": "Bark"
    }  # fmt: skip
    assert "1 by a decision in `decisions.csv` (which gives 1 another label)" in card(built)


def test_a_decision_for_a_label_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"decisions\.csv: 'Unicorn' is not in labels\.yaml"):
        recipe_of(
            tmp_path / "recipe",
            decisions="source,source_path,excerpt_start_s,label,decision,new_label,reason\n"
            "o/r,0.wav,,Bark,relabel,Unicorn,?\n",
        )


# --- credits


def test_credits_name_sources_licences_and_authors() -> None:
    freesound = "CC BY 3.0 (attributions.yml: https://freesound.org/people/{}/sounds/1/)"
    clip = {"label": "Bark", "version": "", "split": "train"}
    rows = [
        {**clip, "source": "o/r", "licence": freesound.format("ann")},
        {**clip, "source": "o/r", "licence": freesound.format("bob")},
        {**clip, "source": "o/r", "licence": "CC0"},
        {**clip, "source": "held-back", "licence": "CC0", "split": "test"},
    ]
    (found,) = credits(rows, ["train"])
    assert found.clips == 3
    assert set(found.authors) == {"ann", "bob"}
    entry = Repository("o/r", "https://example.org/o/r", "", "CC0", "train", "games")
    recipe = Recipe({}, [], [], [], [entry])
    line = table([found], recipe)[-1]
    assert "[o/r](https://example.org/o/r)" in line
    assert "| 3 | 1 | CC BY 3.0; CC0 | ann, bob |" in line


def test_the_command_prints_the_credits_of_a_corpus(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open(tmp_path / "clips.csv", "w", newline="", encoding="utf-8") as file:
        out = csv.DictWriter(file, ["source", "version", "licence", "label", "split"])
        out.writeheader()
        out.writerow({"source": "scratch", "version": "1", "licence": "CC0", "label": "Bark",
                      "split": "train"})  # fmt: skip
    assert main(["corpus", "credits", str(tmp_path)]) == 0
    assert "| scratch | 1 | train | 1 | 1 | CC0 |" in capsys.readouterr().out
    assert main(["corpus", "credits", str(tmp_path / "none")]) == 2
    assert str(tmp_path / "none" / "clips.csv") in capsys.readouterr().err


def test_a_row_of_the_table_of_files_is_found_again_whatever_the_digits_of_its_start() -> None:
    assert FileRow("o/r", "a.wav", 1234.567, 2.0, "Bark", "").key == ("o/r", "a.wav", "1234.57")
