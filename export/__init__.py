"""From a training checkpoint to a model bundle: ONNX graphs, int8, manifest."""
