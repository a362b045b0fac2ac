"""Fixtures shared by the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pulse import PulseServer, missing_packages


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
