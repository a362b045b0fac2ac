"""What runs on the device: sources, ring buffer, features, model, loop, sinks (no PyTorch)."""
