"""OpenVINO, without the messages home that it sends when it is imported.

`import openvino` reports the import to its makers through the package `openvino_telemetry`; without
that package it does not. Nothing leaves the machine here.
"""

from __future__ import annotations

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # as if not installed

import openvino  # noqa: E402

__all__ = ["openvino"]
