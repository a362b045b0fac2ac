"""The pool of unlabelled audio, gathered from small Debian packages that the test makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from distill.corpus import pool as module
from distill.corpus.pool import PACKAGE_S, WINDOW, build_pool, packages, read_pool
from distill.corpus.tables import load_recipe
from distill.errors import CorpusError
from distill.scenes.noise import RATE
from distill.teachers.tagger import Tagger, load_tagger
from tests.made_up import tone

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two packages as `unpack` leaves them; a third that is not in the archive."""
    cache = tmp_path / "packages"
    for name, hz in [("speech-data", 300.0), ("music-data", 900.0)]:
        (cache / name).mkdir(parents=True)
        soundfile.write(cache / name / "short.wav", tone(hz, 0.5), RATE)
        soundfile.write(cache / name / "long.flac", tone(hz * 2.0, 40.0), RATE)
        soundfile.write(cache / name / "silent.wav", np.zeros(RATE, np.float32), RATE)
    soundfile.write(cache / "music-data" / "copy.wav", tone(300.0, 0.5), RATE)
    (cache / "music-data" / "notes.txt").write_text("no audio")
    (cache / "music-data" / "broken.ogg").write_bytes(b"OggS and no more")

    def unpack(name: str, _version: str, _cache: Path) -> tuple[Path, str]:
        if not (cache / name).is_dir():
            raise CorpusError(f"package {name}: cannot be downloaded; check the network")
        return cache / name, "1"

    monkeypatch.setattr(module, "unpack", unpack)
    monkeypatch.setattr(module, "need_apt", lambda: None)
    return cache


@pytest.fixture(scope="module")
def network(tagger: Path) -> Tagger:
    return load_tagger(tagger)


NAMES = ["speech-data", "gone-data", "music-data"]


def test_the_pool_holds_each_recording_once_with_the_teachers_outputs(
    unpacked: Path, network: Tagger, tmp_path: Path
) -> None:
    said: list[str] = []
    out = tmp_path / "pool"
    pool = build_pool(NAMES, 1.0, out, unpacked, network, said.append)
    assert said == ["left out: package gone-data: cannot be downloaded; check the network"]
    held = sorted((e.package, e.source_path, len(a)) for e, a in zip(*astuple(pool), strict=True))
    assert held == [
        ("music-data", "long.flac", 30 * RATE),
        ("music-data", "short.wav", RATE // 2),
        ("speech-data", "long.flac", 30 * RATE),
        ("speech-data", "short.wav", RATE // 2),
    ]
    for excerpt, samples in zip(*astuple(pool), strict=True):
        assert excerpt.samples == len(samples)
        assert np.abs(samples).max() == pytest.approx(0.3 * 32767, rel=0.01)
    teacher = np.load(out / "teacher" / "music-data.npz")
    assert teacher["embedding"].dtype == teacher["logits"].dtype == np.float16
    assert teacher["embedding"].shape == (7, 384)  # six windows of 30 s, and the short recording
    assert teacher["logits"].shape == (7, 527)
    assert sorted(teacher["start"] // WINDOW) == [0, 0, 1, 2, 3, 4, 5]


def astuple(pool: module.Pool) -> tuple[list[module.Excerpt], list[np.ndarray]]:
    return pool.excerpts, pool.audio


def test_a_second_run_reads_back_what_the_first_one_made(
    unpacked: Path, network: Tagger, tmp_path: Path
) -> None:
    out = tmp_path / "pool"
    first = build_pool(NAMES, 1.0, out, unpacked, network, print)
    (out / "pool.csv").unlink()  # as if it had been interrupted before the end
    made = {p: p.stat().st_mtime_ns for p in out.rglob("*.*") if p.name != "pool.csv"}
    second = build_pool(NAMES, 1.0, out, unpacked, network, print)
    assert second.excerpts == first.excerpts
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.*") if p.name != "pool.csv"} == made


def test_no_package_takes_more_than_its_share_of_the_hours(
    unpacked: Path, network: Tagger, tmp_path: Path
) -> None:
    pool = build_pool(NAMES, 20.0 / 3600.0, tmp_path / "pool", unpacked, network, print)
    assert {e.package for e in pool.excerpts} == {"speech-data"}
    assert PACKAGE_S == 3600.0


def test_a_pool_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"none: holds no pool \(No such file"):
        read_pool(tmp_path / "none")


def test_the_table_names_each_package_once() -> None:
    names = packages()
    assert len(names) == len(set(names)) > 60


def test_no_package_of_the_pool_is_held_back_for_dev_or_test() -> None:
    held_back = {p.package for p in load_recipe().packages if p.split in ("dev", "test")}
    assert held_back
    assert not held_back & set(packages())
