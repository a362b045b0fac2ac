"""int8 for ONNX graphs: static QDQ, dynamic, and of the weights alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from edge.inference.features import Floats

# The input of each that holds weights, and the axis of their output channels, unless `transB`.
WEIGHTS = {"Conv": 0, "Gemm": 1, "MatMul": 1}


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, windows: Sequence[Floats]) -> None:
        self._windows = iter(windows)

    def get_next(self) -> dict[str, Floats] | None:
        window = next(self._windows, None)
        return None if window is None else {"features": window}


def static_qdq(source: Path, target: Path, windows: Sequence[Floats]) -> None:
    """The encoder in int8, per channel, with ranges measured on `windows` of real features."""
    with TemporaryDirectory(dir=target.parent) as folder:
        prepared = Path(folder) / source.name
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            target,
            _Reader(windows),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=_sensitive(onnx.load(prepared)),
        )


def _sensitive(encoder: onnx.ModelProto) -> list[str]:
    """Names of the nodes that stay in fp32: the first two convolutions, and what makes the memory.

    They take little time and make up most of the error: the first depthwise filters differ a lot in
    size, and nothing averages out how the memory itself is rounded.
    """
    nodes = list(encoder.graph.node)
    convolutions = [i for i, node in enumerate(nodes) if node.op_type == "Conv"]
    tail = convolutions[-1] + 1
    if nodes[tail].op_type == "Clip":  # it is the range of what it follows
        tail += 1
    return [node.name for node in [*nodes[: convolutions[2]], *nodes[tail:]]]


def dynamic(source: Path, target: Path, _: Sequence[Floats]) -> None:
    """Products in int8; the ranges of what flows in are found at run time."""
    with TemporaryDirectory(dir=target.parent) as folder:
        prepared = Path(folder) / source.name
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_dynamic(prepared, target, per_channel=True, weight_type=QuantType.QInt8)


def weights_only(source: Path, target: Path, _: Sequence[Floats]) -> None:
    """Weights kept in int8, symmetric, per output channel; all arithmetic in fp32."""
    model = onnx.load(source)
    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        weights = stored.get(node.input[1]) if node.op_type in WEIGHTS else None
        if weights is not None and len(weights.dims) > 1:
            turned = any(a.name == "transB" and a.i for a in node.attribute)
            axis = 0 if turned else WEIGHTS[node.op_type]
            if f"{weights.name}.int8" not in stored:
                for tensor in _int8(weights, axis):
                    stored[tensor.name] = tensor
                parts = [f"{weights.name}.{part}" for part in ("int8", "scale", "zero")]
                restored = f"{weights.name}.restored"
                nodes.append(helper.make_node("DequantizeLinear", parts, [restored], axis=axis))
            node.input[1] = f"{weights.name}.restored"
        nodes.append(node)
    used = {name for node in nodes for name in node.input}
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensor for name, tensor in stored.items() if name in used)
    onnx.save(model, target)


def _int8(weights: onnx.TensorProto, axis: int) -> list[onnx.TensorProto]:
    """Values, scales and zero points of `weights`."""
    values = numpy_helper.to_array(weights)
    others = tuple(i for i in range(values.ndim) if i != axis)
    scale = np.maximum(np.abs(values).max(others, keepdims=True), 1e-12) / 127.0
    rounded = np.rint(values / scale).astype(np.int8)
    return [
        numpy_helper.from_array(rounded, f"{weights.name}.int8"),
        numpy_helper.from_array(scale.astype(np.float32).ravel(), f"{weights.name}.scale"),
        # Zeros need not be said, but ONNX Runtime adds a wrong one where they are not.
        numpy_helper.from_array(np.zeros(scale.size, np.int8), f"{weights.name}.zero"),
    ]
