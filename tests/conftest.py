"""Fixtures shared by the tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.helpers import default_signals
from tests.pulse import PulseServer, missing_packages

# Under nohup, and in a background job of a script, SIGHUP and SIGINT are ignored.
default_signals()

# No test looks at how long an example takes: the machine may be busy.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# PyTorch is imported within fixtures: tests of the device's code start without it.


@pytest.fixture(autouse=True)
def edge_logger() -> Iterator[None]:
    """Give each test the logger as a library user has it, and take back what the test changes."""
    logger = logging.getLogger("edge")
    before = logger.handlers[:], logger.level, logger.propagate, logger.disabled
    logger.handlers[:], logger.propagate, logger.disabled = [], True, False
    logger.setLevel(logging.NOTSET)
    yield
    logger.handlers[:], level, logger.propagate, logger.disabled = before
    logger.setLevel(level)


@pytest.fixture(scope="session")
def pulse() -> Iterator[PulseServer]:
    """A private PulseAudio server with a virtual microphone; skips without one."""
    if missing := missing_packages():
        names = " ".join(missing)
        pytest.skip(
            f"no virtual microphone without {names}; to install, type: "
            f"sudo apt-get update && sudo apt-get install --no-install-recommends {names}"
        )
    server = PulseServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample again and again, 40 minutes: no test hears its end."""
    import numpy as np
    import soundfile

    from tests.helpers import SAMPLE

    path = tmp_path_factory.mktemp("long") / "long.flac"
    samples, rate = soundfile.read(SAMPLE, dtype="float32")
    soundfile.write(path, np.tile(samples[::2], 30), rate // 2)
    return path


@pytest.fixture(scope="session")
def crying(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A baby cries for 3 s of every 5 s, for 10 minutes: an event that begins, and ends, each time.

    With windows of 1 s, four a second.
    """
    import numpy as np
    import soundfile

    from tests.helpers import SAMPLE

    path = tmp_path_factory.mktemp("crying") / "crying.flac"
    rate = soundfile.info(SAMPLE).samplerate
    samples, _ = soundfile.read(SAMPLE, start=53 * rate, stop=56 * rate, dtype="float32")
    part = np.concatenate([samples[::2], np.zeros(rate, np.float32)])
    soundfile.write(path, np.tile(part, 120), rate // 2)
    return path


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """PyTorch on one core: what is small is no faster on two, and others use the machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.made_up import write_corpus

    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.made_up import write_tagger

    return write_tagger(tmp_path_factory.mktemp("tagger"))


@pytest.fixture(scope="session")
def prepared(corpus: Path, tagger: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training data of the made-up corpus: two shards of three scenes. Not to be changed."""
    from tests.made_up import prepare

    folder = tmp_path_factory.mktemp("prepared")
    assert prepare(folder, corpus, tagger, folder / "data") == 0
    return folder / "data"
