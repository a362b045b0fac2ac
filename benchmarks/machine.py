"""The machine that a result is from."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.results import Machine

# Instruction sets that decide how fast products of fp32 and int8 are.
FLAGS = (
    "avx2",
    "fma",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "asimd",
    "asimddp",
    "i8mm",
    "sve",
)
PACKAGES = ("aac-stream", "numpy", "onnxruntime", "openvino", "torch", "transformers", "soxr")


def cores() -> int:
    """Logical cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine(name: str = "") -> Machine:
    """This one, called `name` in reports; the processor's name if it is empty."""
    cpu = _cpu()
    return Machine(
        name=name or f"{cpu}, {cores()} cores",
        cpu=cpu,
        cores=cores(),
        flags=_flags(),
        memory_mb=_memory_mb(),
        gpu=gpu(),
        system=f"{platform.system()}, {platform.machine()}",
        python=platform.python_version(),
        packages=_packages(),
        load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0,
    )


def gpu() -> str:
    """The name of the first GPU that NVIDIA's driver lists; empty if there is none."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = done.stdout.strip().splitlines()
    return lines[0] if lines and done.returncode == 0 else ""


def code() -> str:
    """The version of aac-stream that measures, and its commit if it is a checkout."""
    root = Path(__file__).parents[1]
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    known = _packages().get("aac-stream", "not installed")
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return known
    return f"{known}, commit {done.stdout.strip()}" if done.returncode == 0 else known


def _cpu() -> str:
    info = _read("/proc/cpuinfo")
    # "Model" is the board's on Raspberry Pi OS, whose processors have no name there.
    found = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", info, re.MULTILINE)
    return found.group(1).strip() if found else platform.processor() or platform.machine()


def _flags() -> list[str]:
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", _read("/proc/cpuinfo"), re.MULTILINE)
    known = set(found.group(1).split()) if found else set()
    return [flag for flag in FLAGS if flag in known]


def _memory_mb() -> int:
    found = re.search(r"^MemTotal:\s*(\d+) kB$", _read("/proc/meminfo"), re.MULTILINE)
    return int(found.group(1)) * 1024 // 1_000_000 if found else 0


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
