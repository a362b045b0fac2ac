"""What is measured: a model on a runtime on a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import distill
from edge.inference.bundle import read_manifest

# Of which the bundle that ships was made; it comes with the repository, not with the package.
CHECKPOINT = Path(distill.__file__).parent / "default.pt"
RUNTIMES = {
    "onnx": "ONNX Runtime",
    "openvino": "OpenVINO",
    "torch": "PyTorch, eager",
    "torch-compiled": "PyTorch, compiled",
}
GRAPH_RUNTIMES = ("onnx", "openvino")  # for graphs in ONNX


@dataclass(frozen=True)
class System:
    """How to load a system; a worker process is told this."""

    name: str
    kind: str  # "bundle", "checkpoint", "published", "teacher", or "reference"
    model: str  # in words
    runtime: str  # one of RUNTIMES
    path: str = ""  # of a bundle or a checkpoint
    device: str = "cpu"  # or "cuda"
    checkout: str = ""  # the folder whose `edge` is measured; this one if empty

    @property
    def speed_only(self) -> bool:
        """Whether its weights are random: they do not change how fast it is."""
        return self.kind in ("published", "teacher")

    @property
    def captions(self) -> bool:
        """Whether it is a student of ours, which runs in the loop and says something."""
        return self.kind in ("bundle", "checkpoint")


# Runs in turn with the others, so that its times say how fast the machine was meanwhile.
REFERENCE = System("reference", "reference", "a fixed NumPy computation", "torch")


def of_bundles(folders: Sequence[Path]) -> list[System]:
    """Every bundle in `folders` on every runtime for graphs of its format.

    Raises: BundleError.
    """
    found: list[System] = []
    for folder in folders:
        manifest = read_manifest(folder)
        precision, model = manifest.get("precision"), manifest.get("name")
        for runtime in GRAPH_RUNTIMES if manifest.get("format") == "onnx" else ("openvino",):
            name = f"{precision}/{runtime}"
            if any(name == system.name for system in found):
                name = f"{folder.name}/{runtime}"
            found.append(System(name, "bundle", f"{model}, {precision}", runtime, str(folder)))
    return found


def of_before(systems: Sequence[System], checkout: Path) -> list[System]:
    """Those of `systems` that are bundles, by the `edge` of another checkout of this repository."""
    return [
        replace(system, name=f"before: {system.name}", checkout=str(checkout))
        for system in systems
        if system.kind == "bundle"
    ]


def in_pytorch() -> list[System]:
    """The student in PyTorch, and what it is measured against."""
    student = f"{CHECKPOINT.name}, fp32"
    published, teacher = "the paper's published student", "the teacher, HTSAT + BART-base"
    return [
        System("fp32/torch", "checkpoint", student, "torch", str(CHECKPOINT)),
        System("fp32/torch-compiled", "checkpoint", student, "torch-compiled", str(CHECKPOINT)),
        System("published", "published", published, "torch"),
        System("teacher", "teacher", teacher, "torch"),
        System("teacher-cuda", "teacher", teacher, "torch", device="cuda"),
    ]
