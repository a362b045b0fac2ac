"""Cost of the streaming loop: real-time factor, memory, cold start, and where the time goes."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """One run of the loop in a process of its own."""

    load_s: float  # imports and model, from the start of the process's code
    audio_s: float
    windows: int
    rtf: float  # of the whole loop, resampling and features included
    encoder_ms: float  # median of a window
    token_ms: float  # median of a decoder step
    peak_mb: float  # resident


def measure(recording: Path, bundle: Path, hop_s: float, threads: int) -> Run:
    """Run the loop over `recording` in this process, as fast as it goes."""
    began = time.perf_counter()
    from edge.backends import Backend, load_backend
    from edge.bundle import load_bundle
    from edge.captioner import Captioner
    from edge.config import StreamConfig
    from edge.features import Floats
    from edge.loop import Loop
    from edge.sources import FileSource

    encoder_s: list[float] = []
    token_s: list[float] = []

    class Timed(Backend):
        def __init__(self, inner: Backend) -> None:
            self._inner = inner

        def encode(self, features: Floats) -> Floats:
            start = time.perf_counter()
            memory = self._inner.encode(features)
            encoder_s.append(time.perf_counter() - start)
            return memory

        def start(self) -> Floats:
            return self._inner.start()

        def step(self, tokens: list[int], past: Floats, memory: Floats) -> tuple[Floats, Floats]:
            start = time.perf_counter()
            out = self._inner.step(tokens, past, memory)
            token_s.append(time.perf_counter() - start)
            return out

    model = load_bundle(bundle)
    captioner = Captioner(model, Timed(load_backend("onnx", model, threads)))
    load_s = time.perf_counter() - began
    config = StreamConfig(device=str(recording), fast=True, hop_s=hop_s, threads=threads)
    source = FileSource(recording, fast=True)
    loop = Loop(source, captioner, config)
    for _ in loop.captions():
        pass
    source.close()
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return Run(
        load_s=load_s,
        audio_s=loop.stats.audio_s,
        windows=loop.stats.windows,
        rtf=loop.stats.rtf,
        encoder_ms=statistics.median(encoder_s) * 1e3,
        token_ms=statistics.median(token_s) * 1e3,
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6,
    )


def measure_apart(recording: Path, bundle: Path, hop_s: float, threads: int) -> Run:
    """`measure` in a new process, so that nothing is warm and memory is its own."""
    code = (
        "import json, sys; from dataclasses import asdict; from pathlib import Path; "
        "from benchmarks.stream import measure; a = sys.argv; "
        "print(json.dumps(asdict(measure(Path(a[1]), Path(a[2]), float(a[3]), int(a[4])))))"
    )
    arguments = [str(recording), str(bundle), str(hop_s), str(threads)]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return Run(**json.loads(done.stdout))


def machine() -> str:
    """The processor, how much of it there is, and the system."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith(("model name", "Model")):
                name = line.split(":", 1)[1].strip()
    return (
        f"{name} ({os.cpu_count()} cores), {platform.system()}, Python {platform.python_version()}"
    )


def report(runs: dict[str, list[Run]], sizes: dict[str, float], hop_s: float, threads: int) -> str:
    """Markdown: medians over the runs of each bundle; `sizes` in MB."""
    first = next(iter(runs.values()))
    # Each figure is the median of its own: a noisy neighbour then spoils a run, not the row.
    lines = [
        f"{machine()}. Medians of {len(first)} runs, {first[0].audio_s:.0f} s of audio, "
        f"a window each {hop_s:g} s, {threads} thread(s).",
        "",
        "| bundle | size | cold start | encoder, per window | decoder, per step of all beams "
        "| real-time factor | peak memory |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, all_runs in runs.items():
        m = {key: statistics.median(asdict(r)[key] for r in all_runs) for key in asdict(first[0])}
        lines.append(
            f"| {name} | {sizes[name]:.1f} MB | {m['load_s']:.2f} s "
            f"| {m['encoder_ms']:.1f} ms | {m['token_ms']:.2f} ms "
            f"| {m['rtf']:.4f} | {m['peak_mb']:.0f} MB |"
        )
    return "\n".join(lines)
