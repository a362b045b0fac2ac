"""The parent's side of a worker: start it, ask it for rounds, learn why it failed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.options import Options
from benchmarks.results import Setting
from benchmarks.systems import System
from benchmarks.worker import Job, Samples

ROOT = Path(__file__).parents[1]
ENDS_S = 5.0  # within which a worker ends by itself
# `edge` of the checkout, if one is named, and all else from here: the modules of a package are
# looked for where it was found.
START = (
    "import sys; root, checkout = sys.argv[1:]; sys.path.insert(0, checkout or root); import edge; "
    "sys.path.insert(0, root); from benchmarks.worker import main; main()"
)


class WorkerError(Exception):
    """A worker cannot measure; `kind` is the name of the exception in it."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind = kind


class Worker:
    """A process that measures one system; a context manager, which ends it."""

    def __init__(self, system: System, scenario: str, setting: Setting, options: Options) -> None:
        job = Job(system, scenario, setting, options, time.time())
        # Libraries that size their pools as they are loaded must not take more than they may.
        threads = f"{setting.get('threads', 1):g}"
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, str(ROOT), system.checkout],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **limits, "HF_HUB_OFFLINE": "1"},
        )
        self._job = job

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._process.communicate(timeout=ENDS_S)  # it ends with its input, and tidies up
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._errors.close()

    def ready(self) -> bool:
        """Load the system and warm it up.

        Raises: WorkerError.
        """
        return bool(self._ask(self._job.to_json()))

    def round(self) -> Samples:
        """The samples of one round.

        Raises: WorkerError.
        """
        samples: Samples = self._ask("round")["samples"]
        return samples

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(line, file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
        except OSError:  # its end of the pipe is closed
            answer = ""
        if not answer:
            raise WorkerError("Died", self._last_words())
        values: dict[str, Any] = json.loads(answer)
        if "error" in values:
            raise WorkerError(values["error"], values["why"])
        return values

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().strip().splitlines()
        ended = (
            f"its process ended by signal {-code}" if code < 0 else f"its process ended ({code})"
        )
        return f"{ended}: {said[-1][:200]}" if said else ended
