"""One window of audio from Python: quiet audio is quiet, and what is no audio is refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from edge.errors import ModelError
from edge.inference.bundle import default_bundle, load_bundle
from edge.inference.captioner import Captioner, load_captioner
from tests.helpers import ROOT, SAMPLE, the_one_line


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return load_captioner()


@pytest.mark.parametrize("level_db", [-np.inf, -90.0, -70.0])
def test_quiet_audio_is_quiet(captioner: Captioner, level_db: float) -> None:
    noise = np.random.default_rng(0).standard_normal(80_000)
    heard = captioner.describe_audio(noise * 10.0 ** (level_db / 20.0))
    assert (heard.text, heard.confidence, heard.quiet) == ("", 1.0, True)


def test_the_level_that_is_quiet_can_be_set(captioner: Captioner) -> None:
    noise = 0.01 * np.random.default_rng(0).standard_normal(80_000)
    assert captioner.describe_audio(noise).text
    assert captioner.describe_audio(noise, quiet_db=-20.0).quiet


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_audio_is_captioned_in_every_precision(captioner: Captioner, dtype: type) -> None:
    samples, _ = soundfile.read(SAMPLE, stop=32_000 * 5, dtype="float32")
    heard = captioner.describe_audio(samples[::2].astype(dtype))
    assert heard.text == "a rooster crows"
    assert not heard.quiet


ONES = np.ones(80_000, np.float32)


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (ONES * np.nan, "holds NaN or infinity"),
        (np.append(ONES, np.inf), "holds NaN or infinity"),
        (ONES.astype(np.int16), "not of int16; divide by 32768"),
        (ONES.astype(np.int32), "not of int32; divide by 2147483648"),
        (ONES.astype(np.uint8), "not of uint8"),
        (ONES.astype(bool), "not of bool"),
        (ONES.astype(complex), "not of complex128"),
        (ONES.astype(object), "not of object"),
        (np.stack([ONES, ONES], axis=1), "not of shape (80000, 2); mix the channels first"),
        (ONES[None], "not of shape (1, 80000)"),
        (np.float32(1.0), "not float32"),
        (np.array(1.0), "not of shape ()"),
        (ONES[:0], "of at least 512 samples, not 0"),
        (ONES[:511], "of at least 512 samples, not 511"),
        (32_000 * ONES, "reaches 32000: divide it by its full scale"),
        ([0.0] * 80_000, "not list"),
        ("bark.wav", "not str"),
        (None, "not NoneType"),
    ],
)
def test_what_is_no_audio_is_refused(captioner: Captioner, samples: object, says: str) -> None:
    with pytest.raises(ValueError, match="1-D array of floats from -1 to 1 at 16000 Hz") as caught:
        captioner.describe_audio(samples)  # type: ignore[arg-type]
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


class NoNumbers:
    """A backend whose logits are `value`."""

    def __init__(self, value: float) -> None:
        self._value = value

    def encode(self, features: object) -> object:
        return features

    def start(self) -> object:
        return np.zeros((1, 2, 1, 1, 0, 1), np.float32)

    def step(self, tokens: list[int], past: object, _: object) -> tuple[object, object]:
        words = len(load_bundle(default_bundle()).vocabulary)
        return np.full((len(tokens), words), self._value, np.float32), past


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("beam", [1, 4])
def test_a_model_that_gives_no_numbers_is_one_line(value: float, beam: int) -> None:
    bundle = load_bundle(default_bundle())
    bundle = replace(bundle, search=replace(bundle.search, beam=beam))
    broken = Captioner(bundle, NoNumbers(value))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="; use another --bundle or --backend") as caught:
        broken.describe_audio(ONES)
    assert str(caught.value).startswith(f"model {bundle.name!r}: ")


def test_a_run_with_a_model_that_gives_no_numbers_ends_in_one_line() -> None:
    code = (
        "import sys, numpy as np; from edge.inference import backends; from edge.cli import main;"
        "step = backends.Backend.step;"
        "backends.Backend.step = lambda *a: [x * np.nan for x in step(*a)];"
        "sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--device", str(SAMPLE), "--fast"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=180,
    )
    assert "gives values that are no numbers (NaN or infinity)" in the_one_line(done)
    assert done.stdout == ""
