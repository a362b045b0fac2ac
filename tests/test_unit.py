"""The systemd unit: systemd itself accepts it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT

UNIT = ROOT / "packaging" / "aac-stream.service"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text()
    program = "/opt/aac-stream/.venv/bin/aac-stream"
    assert program in text
    # What it starts must be there to be accepted; that it is there is the installer's.
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace(program, sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_docs_name_files_that_are_there() -> None:
    for page in ("service.md", "raspberry-pi.md"):
        for name in ("packaging/aac-stream.service", "config.yaml"):
            assert f"/opt/aac-stream/{name}" in (ROOT / "docs" / page).read_text()
            assert (ROOT / name).exists()
