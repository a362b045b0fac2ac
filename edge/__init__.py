"""What runs on the device: sources, ring buffer, features, model, loop, sinks (no PyTorch)."""

import os

# ONNX Runtime's own builds for Linux and macOS, from 1.30 on, tell Microsoft of each process and
# model, and keep an identifier in ~/.cache. They ask once, when they are loaded, whether they may:
# so it stands here, where every import of theirs comes by. The name changes with their release.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["ORT_TELEMETRY_DISABLED"] = "1"
