"""scripts/compare_captions.py, by which the captions of two machines are compared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.helpers import ROOT


def lines(path: Path, texts: list[str], confidence: float = 0.5) -> str:
    rows = [
        {
            "start_s": float(i),
            "end_s": i + 5.0,
            "state": "caption",
            "text": text,
            "confidence": confidence,
            "level_db": -20.0,
        }
        for i, text in enumerate(texts)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def compare(*files: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "compare_captions.py"), *files]
    return subprocess.run(command, capture_output=True, text=True)


def test_rounding_agrees_and_other_captions_do_not(tmp_path: Path) -> None:
    here = lines(tmp_path / "a.jsonl", ["a dog barks"] * 40)
    done = compare(here, lines(tmp_path / "b.jsonl", ["a dog barks"] * 39 + ["rain falls"], 0.51))
    assert done.returncode == 0, done
    assert "40 windows, 39 captions the same" in done.stdout
    assert "a dog barks [0.500]  |  rain falls [0.510]" in done.stdout
    half = lines(tmp_path / "c.jsonl", ["a dog barks", "rain falls"] * 20)
    assert compare(here, half).returncode == 1
    surer = lines(tmp_path / "d.jsonl", ["a dog barks"] * 40, 0.9)
    assert compare(here, surer).returncode == 1
    fewer = lines(tmp_path / "e.jsonl", ["a dog barks"] * 39)
    assert "not the same windows" in compare(here, fewer).stdout


def test_bad_files_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("a dog barks\n")
    for name, says in [("bad.jsonl", "line 1 is not a caption"), ("none.jsonl", "No such file")]:
        done = compare(str(tmp_path / name), str(tmp_path / name))
        assert done.returncode == 2
        assert says in done.stderr
        assert len(done.stderr.splitlines()) == 1
