"""Import OpenVINO without its telemetry.

`import openvino` reports the import to its makers through the package `openvino_telemetry`. This
module hides that package, so that nothing leaves the machine.
"""

from __future__ import annotations

import sys

# With None here, the import of `openvino_telemetry` fails as if it were not installed.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino  # noqa: E402

__all__ = ["openvino"]
