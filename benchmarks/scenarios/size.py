"""What a system takes on disk: its model, and the packages that it needs."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

import edge
from benchmarks.worker import Job, Samples
from edge.inference.bundle import size_mb

# What is installed beside the device package.
PACKAGES = {
    "onnx": [],
    "openvino": ["openvino"],
    "torch": ["torch"],
    "torch-compiled": ["torch"],
}


def begin(job: Job) -> Callable[[], Samples]:
    """No setting."""
    path = Path(job.system.path)
    model_mb = size_mb(path) if path.is_dir() else path.stat().st_size / 1e6
    found: set[str] = set()
    for name in ["aac-stream", *PACKAGES[job.system.runtime]]:
        _add(name, found)
    own_mb = _folder_mb(Path(edge.__file__).parent)
    found.discard("aac-stream")  # its files are `edge`, and of a checkout all else too
    install_mb = own_mb + sum(_installed_mb(name) for name in found)
    return lambda: {"model_mb": [model_mb], "install_mb": [install_mb]}


def _add(name: str, found: set[str]) -> None:
    """Put the package `name` and what it requires here, without extras, into `found`."""
    try:
        requires = distribution(name).requires or []
    except PackageNotFoundError:  # of another platform, or optional
        return
    if name in found:
        return
    found.add(name)
    for line in requires:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            _add(requirement.name.lower().replace("_", "-"), found)


def _installed_mb(name: str) -> float:
    files = distribution(name).files or []
    return sum(_size(Path(str(file.locate()))) for file in files) / 1e6


def _folder_mb(folder: Path) -> float:
    files = (path for path in folder.rglob("*") if "__pycache__" not in path.parts)
    return sum(_size(path) for path in files) / 1e6


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
