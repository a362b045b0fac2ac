"""The house: packages import only what lies below them, and the device needs no PyTorch."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.helpers import ROOT

ORDER = ["edge", "distill", "export", "benchmarks"]  # each may use those before it
DEVICE = {"numpy", "onnxruntime", "sounddevice", "soundfile", "soxr", "yaml"}
ASKED_FOR = {"openvino", "torch", "onnx"}  # by --backend, and imported in edge/backends alone
OF_BROKER = {"paho"}  # by --mqtt
OF_PAGE = {"starlette", "uvicorn", "segno"}  # by --serve, and imported in edge/web alone


def imports(package: str, *without: str) -> set[str]:
    found = set()
    for path in (ROOT / package).rglob("*.py"):
        if set(without) & set(path.relative_to(ROOT).parts):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative import"
                found.add((node.module or "").split(".")[0])
    return found - set(sys.stdlib_module_names)


@pytest.mark.parametrize("package", ORDER)
def test_arrows_point_down(package: str) -> None:
    assert imports(package) & set(ORDER) <= set(ORDER[: ORDER.index(package) + 1])


def test_edge_needs_what_the_package_installs_and_nothing_else() -> None:
    assert imports("edge") - {"edge"} == DEVICE | ASKED_FOR | OF_PAGE | OF_BROKER
    apart = imports("edge", "backends", "web") - {"edge"}
    assert apart == (DEVICE - {"onnxruntime"}) | OF_BROKER


def test_the_command_line_loads_no_pytorch() -> None:
    code = (
        "import sys, edge.cli; from edge.inference.captioner import load_captioner;"
        "load_captioner();"
        "print([m for m in ('torch', 'onnx', 'openvino', 'distill') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done
