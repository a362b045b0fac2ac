"""What the scenario `sharing` measures is what it says: the newest part alone is encoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.options import Options
from benchmarks.scenarios.sharing import EDGE, HOP, STRIDE, WINDOW, _Sharing
from benchmarks.scenarios.track import scenes_of
from edge.inference.captioner import load_captioner
from edge.inference.features import Floats, LogMelStream
from tests.helpers import SAMPLE


class Counted(_Sharing):
    """Keeps how many frames were encoded of each window, and its memory."""

    def __init__(self, encoded: int) -> None:
        super().__init__(load_captioner(), encoded)
        self.frames: list[int] = []
        self.memories: list[Floats] = []
        inner = self._backend.encode

        def encode(features: Floats) -> Floats:
            self.frames.append(len(features))
            return inner(features)

        self._backend.encode = encode  # type: ignore[method-assign]

    def hear(self, windows: list[Floats]) -> list[str]:
        said = []
        for window in windows:
            said.append(self.describe(window).text)
            assert self._before is not None
            self.memories.append(self._before[1])
        return said


def windows(count: int) -> list[Floats]:
    (scene,) = scenes_of(Options(recording=str(Path(SAMPLE))), 16_000)
    frames = LogMelStream(load_captioner().bundle.features).push(scene.audio)
    return [frames[HOP * i : HOP * i + WINDOW] for i in range(count)]


def test_all_of_each_window_says_what_the_captioner_says() -> None:
    heard = windows(6)
    captioner = load_captioner()
    assert Counted(WINDOW).hear(heard) == [captioner.describe(window).text for window in heard]


def test_columns_of_the_window_before_are_kept_and_the_newest_are_new() -> None:
    heard, whole = windows(4), load_captioner()._backend
    counted = Counted(10 * STRIDE)
    counted.hear(heard)
    assert counted.frames == [WINDOW, 10 * STRIDE, 10 * STRIDE, 10 * STRIDE]
    first, second = counted.memories[:2]
    assert first.shape == second.shape == whole.encode(heard[1]).shape
    new = 10 - EDGE
    kept = slice(HOP // STRIDE, HOP // STRIDE + 16 - new)
    assert np.array_equal(second[:, :, :, : 16 - new], first[:, :, :, kept])
    newest = whole.encode(heard[1][-10 * STRIDE :])
    assert np.array_equal(second[:, :, :, 16 - new :], newest[:, :, :, EDGE:])


def test_windows_that_do_not_follow_each_other_share_nothing() -> None:
    heard = windows(8)
    counted = Counted(10 * STRIDE)
    counted.hear([heard[0], heard[4], heard[7]])
    assert counted.frames == [WINDOW] * 3
