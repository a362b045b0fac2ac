"""From a training checkpoint to a model bundle: ONNX graphs, int8, manifest."""

import edge  # noqa: F401  before ONNX Runtime, so that this tells nobody of its use
