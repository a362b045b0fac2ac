"""The package for the device: audio sources, features, model, streaming and sinks.

It does not need PyTorch.
"""

import os

# From version 1.30 on, the official builds of ONNX Runtime for Linux and macOS report each process
# and model to Microsoft, and store an identifier in ~/.cache. They read an environment variable
# once, when they are loaded. It is set here because every import of ONNX Runtime passes this
# module. The name of the variable depends on the release.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["ORT_TELEMETRY_DISABLED"] = "1"
