"""The page of ten scenes: captions, times and spectrograms."""

from __future__ import annotations

from pathlib import Path

from distill.scenes.annotations import Event, Truth
from distill.scenes.page import COUNT, page, write_page
from distill.scenes.scene_spec import SceneSpec
from distill.scenes.simulator import Scene
from tests.made_up import tone, write_corpus


def test_the_page_has_a_row_and_a_spectrogram_for_each_scene(tmp_path: Path) -> None:
    write_page(write_corpus(tmp_path / "corpus"), tmp_path)
    text = (tmp_path / "scenes.md").read_text(encoding="utf-8")
    assert sum(line.startswith(f"| {n} |") for n in range(COUNT) for line in text.split("\n")) == 10
    image = (tmp_path / "scenes.png").read_bytes()
    assert image[:4] == b"\x89PNG"
    assert len(image) < 400_000


def test_a_row_says_what_is_audible_and_when() -> None:
    barks = Event("Bark", ((0.5, 1.5),), 0.0, "far", ((0.5, 0.75), (1.25, 1.5)))
    scene = Scene(tone(400.0, 2.0), Truth(2.0, (barks,), "Rain", ((0.0, 2.0),)))
    row = "| 0 | a dog barks | Bark (far) 0.50-0.75, 1.25-1.50; Rain (background) 0.00-2.00 |"
    assert row in page([scene], ["a dog barks"], SceneSpec()).split("\n")
    assert "| 0 | silence | none |" in page(
        [Scene(tone(400.0, 2.0), Truth(2.0, ()))], ["silence"], SceneSpec()
    )
