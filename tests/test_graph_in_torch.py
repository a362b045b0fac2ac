"""The PyTorch backend's operators and whole graphs, against ONNX Runtime and the definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile
import torch
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from distill.models.encoders import ENCODERS
from distill.models.student import Student, StudentSpec
from edge.errors import BundleError
from edge.inference.backends.graph_in_torch import TorchGraph
from edge.inference.bundle import default_bundle, load_bundle
from edge.inference.features import LogMel
from export.graphs import export_decoder, export_encoder
from tests.helpers import SAMPLE

pytestmark = pytest.mark.usefixtures("one_thread")

Arrays = Mapping[str, np.ndarray]


def session(model: bytes, optimised: bool = True) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@torch.inference_mode()
def run(graph: TorchGraph, inputs: Arrays) -> list[np.ndarray]:
    given = {name: torch.from_numpy(value.copy()) for name, value in inputs.items()}
    outputs = [output.numpy() for output in graph(given)]
    for name, value in inputs.items():  # a run leaves its inputs as they are
        np.testing.assert_array_equal(given[name].numpy(), value)
    return outputs


def as_proto(name: str, value: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(value, name) if isinstance(value, np.ndarray) else value


def model(
    nodes: str,
    inputs: Arrays,
    constants: Mapping[str, Any] | None = None,
    outputs: Mapping[str, int] | None = None,
    opset: int = 18,
    ranks: Sequence[int] | None = None,
) -> bytes:
    """A graph of `nodes`, in ONNX's own notation, one a line.

    The outputs are of these types and ranks; without ranks, which the standard demands, ONNX
    Runtime alone takes the graph.
    """
    outputs = outputs or {"y": onnx.TensorProto.FLOAT}
    graph = helper.make_graph(
        [onnx.parser.parse_node(line) for line in nodes.strip().splitlines()],
        "test",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(value.dtype), [None] * value.ndim
            )
            for name, value in inputs.items()
        ],
        [
            helper.make_tensor_value_info(name, kind, ranks and [None] * ranks[i])
            for i, (name, kind) in enumerate(outputs.items())
        ],
        [as_proto(name, value) for name, value in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return bytes(made.SerializeToString())


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def integers(low: int, high: int, shape: Any, kind: type, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, shape).astype(kind)


def longs(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


F32, I32, I64, U8, I8, BOOL = (
    getattr(onnx.TensorProto, name) for name in ("FLOAT", "INT32", "INT64", "UINT8", "INT8", "BOOL")
)
LIMIT = np.iinfo(np.int64)
X4 = floats(1, 6, 9, 8)
X3 = floats(2, 5, 6)
X2 = floats(4, 6)
HALVES = (np.arange(-40, 40) / 2).astype(np.float32).reshape(4, 20)  # every other one is a tie
TIES = {"s": np.array(1, np.float32), "z": np.array(3, np.uint8)}

UNARY = ["Neg", "Abs", "Exp", "Log", "Sqrt", "Reciprocal", "Erf", "Tanh", "Sigmoid", "HardSwish"]
UNARY += ["Relu"]

# Nodes; inputs; constants; and what is special: types of outputs, opset.
CASES: dict[str, tuple[Any, ...]] = {
    "conv": (
        "y = Conv <strides=[2,2], pads=[1,1,1,1], kernel_shape=[3,3]> (x, w, b)",
        {"x": X4},
        {"w": floats(4, 6, 3, 3), "b": floats(4)},
    ),
    "conv, sides differ": (
        "y = Conv <strides=[2,2], pads=[0,1,1,2]> (x, w)",
        {"x": X4},
        {"w": floats(4, 6, 3, 3)},
    ),
    "conv, depthwise and dilated": (
        "y = Conv <group=6, dilations=[2,1]> (x, w)",
        {"x": X4},
        {"w": floats(6, 1, 3, 3)},
    ),
    "conv, one dimension": ("y = Conv <pads=[2,0]> (x, w)", {"x": X3}, {"w": floats(4, 5, 3)}),
    "average pool": (
        "y = AveragePool <kernel_shape=[3,2], strides=[2,1], pads=[1,1,1,1]> (x)",
        {"x": X4},
    ),
    "average pool, with the padding": (
        "y = AveragePool <kernel_shape=[3,2], pads=[0,1,1,0], count_include_pad=1> (x)",
        {"x": X4},
    ),
    "global average pool": ("y = GlobalAveragePool(x)", {"x": X4}),
    "matmul": ("y = MatMul(x, w)", {"x": X3}, {"w": floats(6, 7)}),
    "gemm": (
        "y = Gemm <alpha=0.5, beta=2.0, transB=1> (x, w, b)",
        {"x": X2},
        {"w": floats(7, 6), "b": floats(7)},
    ),
    "gemm, transposed, no bias": (
        "y = Gemm <transA=1, alpha=3.0> (x, w)",
        {"x": X2},
        {"w": floats(4, 3)},
    ),
    "layer norm": (
        "y = LayerNormalization <axis=-1, epsilon=0.1> (x, w, b)",
        {"x": X3},
        {"w": floats(6), "b": floats(6, seed=1)},
    ),
    "layer norm of two axes": (
        "y = LayerNormalization <axis=1> (x, w)",
        {"x": X3},
        {"w": floats(5, 6)},
    ),
    "mean": ("y = ReduceMean <keepdims=0> (x, a)", {"x": X4}, {"a": longs(2, -1)}),
    "mean of all": ("y = ReduceMean(x)", {"x": X4}),
    "mean of none": ("y = ReduceMean <noop_with_empty_axes=1> (x)", {"x": X4}),
    "softmax": ("y = Softmax <axis=1> (x)", {"x": X3}),
    "shape": ("y = Shape <start=1, end=-1> (x)", {"x": X4}, {}, {"y": I64}),
    "reshape": ("y = Reshape(x, s)", {"x": X4}, {"s": longs(0, -1, 8)}),
    "reshape to nothing": (
        "y = Reshape <allowzero=1> (x, s)",
        {"x": floats(2, 0, 3)},
        {"s": longs(0, 5)},
    ),
    "reshape, size known at run time": (
        """s = Shape(x)
        t = Slice(s, one, end)
        u = Concat <axis=0> (minus, t)
        y = Reshape(x, u)""",
        {"x": X4},
        {"one": longs(1), "end": longs(3), "minus": longs(-1)},
    ),
    "squeeze": ("y = Squeeze(x, a)", {"x": floats(1, 3, 1)}, {"a": longs(-1)}),
    "squeeze of all": ("y = Squeeze(x)", {"x": floats(1, 3, 1)}),
    "unsqueeze": ("y = Unsqueeze(x, a)", {"x": X2}, {"a": longs(3, 0)}),
    "transpose": ("y = Transpose <perm=[2,0,1]> (x)", {"x": X3}),
    "transpose of all": ("y = Transpose(x)", {"x": X3}),
    "expand": ("y = Expand(x, s)", {"x": floats(3, 1)}, {"s": longs(2, 1, 4)}),
    "concat": ("y = Concat <axis=-1> (x, w, x)", {"x": X2}, {"w": floats(4, 1)}),
    "slice": (
        "y = Slice(x, b, e, a, s)",
        {"x": X4},
        {"b": longs(-3, 1), "e": longs(LIMIT.max, -1), "a": longs(1, -2), "s": longs(1, 3)},
    ),
    "slice from before the start": (
        "y = Slice(x, b, e)",
        {"x": X2},
        {"b": longs(LIMIT.min, 4), "e": longs(-2, LIMIT.max)},
    ),
    "slice backwards": (
        "y = Slice(x, b, e, a, s)",
        {"x": X4},
        {"b": longs(-1, 4), "e": longs(LIMIT.min, 4), "a": longs(2, 3), "s": longs(-2, -1)},
    ),
    "split": (
        "y, z = Split <axis=1> (x, s)",
        {"x": X2},
        {"s": longs(2, 4)},
        {"y": F32, "z": F32},
    ),
    "split in equal parts": (
        "y, z = Split <axis=-1, num_outputs=2> (x)",
        {"x": X3[:, :, 1:]},
        {},
        {"y": F32, "z": F32},
    ),
    "split of one": ("y = Split <num_outputs=1> (x)", {"x": X2}),
    "pad": (
        "y = Pad(x, p, v)",
        {"x": X2},
        {"p": longs(1, 0, 2, -1), "v": np.array(3, np.float32)},
    ),
    "pad some axes": ("y = Pad(x, p, , a)", {"x": X4}, {"p": longs(1, 2, 3, 0), "a": longs(-1, 1)}),
    "pad by reflection": (
        'y = Pad <mode="reflect"> (x, p)',
        {"x": X4},
        {"p": longs(0, 0, 2, 1, 0, 0, 1, 3)},
    ),
    "pad with the edge": (
        'y = Pad <mode="edge"> (x, p)',
        {"x": X3},
        {"p": longs(0, 0, 2, 0, 0, 1)},
    ),
    "gather": ("y = Gather <axis=1> (x, i)", {"x": X3}, {"i": longs(-1, 0, 3, 3).reshape(2, 2)}),
    "gather one": ("y = Gather <axis=1> (x, i)", {"x": X3}, {"i": np.array(-2)}),
    "gather n-d": ("y = GatherND(x, i)", {"x": X3}, {"i": longs(1, -1, 0, 2).reshape(2, 2)}),
    "constant of shape": (
        "y = ConstantOfShape <value = int32[1] {7}> (s)",
        {"s": longs(2, 3)},
        {},
        {"y": I32},
    ),
    "zeros of shape": ("y = ConstantOfShape(s)", {"s": longs(2, 3)}),
    "range": (
        "y = Range(b, e, s)",
        {"b": np.array(7, np.int32)},
        {"e": np.array(-2, np.int32), "s": np.array(-3, np.int32)},
        {"y": I32},
    ),
    "cast": ("y = Cast <to=7> (x)", {"x": 9 * X2}, {}, {"y": I64}),
    "where": ("y = Where(c, x, w)", {"c": X2 > 0, "x": X2}, {"w": floats(1, 6, seed=1)}),
    "divide": ("y = Div(x, w)", {"x": X2}, {"w": floats(6, seed=1)}),
    "divide integers": (
        "y = Div(x, w)",
        {"x": longs(7, -7, 7, -7)},
        {"w": longs(2, 2, -2, -2)},
        {"y": I64},
    ),
    "power": ("y = Pow(x, w)", {"x": abs(X2)}, {"w": np.array(3, np.int64)}),
    "power of integers": (
        "y = Pow(x, w)",
        {"x": longs(2, 3, 4)},
        {"w": np.array(0.5, np.float32)},
        {"y": I64},
    ),
    "least": ("y = Min(x, w, v)", {"x": X2}, {"w": floats(6, seed=1), "v": floats(4, 1, seed=2)}),
    "greatest": ("y = Max(x, w)", {"x": X2}, {"w": floats(6, seed=1)}),
    "clip": (
        "y = Clip(x, a, b)",
        {"x": X2},
        {"a": np.array(-0.5, np.float32), "b": np.array(0.75, np.float32)},
    ),
    "clip above": ("y = Clip(x, , b)", {"x": X2}, {"b": np.array(0.75, np.float32)}),
    "hard sigmoid": ("y = HardSigmoid <alpha=0.3, beta=0.4> (x)", {"x": 3 * X2}),
    "hard sigmoid as it is": ("y = HardSigmoid(x)", {"x": 3 * X2}),
    "gelu": ("y = Gelu(x)", {"x": X2}, {}, {}, 20),
    "gelu by tanh": ('y = Gelu <approximate="tanh"> (x)', {"x": X2}, {}, {}, 20),
    "gelu of ONNX Runtime": ("y = com.microsoft.Gelu(x)", {"x": X2}),
    "constant": (
        "c = Constant <value_floats=[1.0,2.0,3.0,4.0,5.0,6.0]> ()\ny = Add(x, c)",
        {"x": X2},
    ),
    "identity": ("z = Identity(x)\ny = Identity(z)", {"x": X2}),
    "quantise, ties": ("y = QuantizeLinear(x, s, z)", {"x": HALVES}, TIES, {"y": U8}),
    "quantise beyond the ends": (
        "y = QuantizeLinear(x, s, z)",
        {"x": 1e4 * X2},
        {"s": np.array(0.1, np.float32), "z": np.array(-5, np.int8)},
        {"y": I8},
    ),
    "quantise, no zero point": (
        "y = QuantizeLinear(x, s)",
        {"x": HALVES},
        {"s": np.array(0.25, np.float32)},
        {"y": U8},
    ),
    "quantise per channel": (
        "y = QuantizeLinear <axis=0> (x, s, z)",
        {"x": HALVES},
        {"s": abs(floats(4)), "z": np.array([0, 9, -9, 3], np.int8)},
        {"y": I8},
    ),
    "dequantise": (
        "y = DequantizeLinear(x, s, z)",
        {"x": integers(0, 256, (3, 5), np.uint8)},
        {"s": np.array(0.3, np.float32), "z": np.array(131, np.uint8)},
    ),
    "dequantise per channel": (
        "y = DequantizeLinear(x, s, z)",
        {"x": integers(-128, 128, (3, 4, 2), np.int8)},
        {"s": abs(floats(4)), "z": np.array([0, 9, -9, 3], np.int8)},
    ),
    "dequantise a bias": (
        "y = DequantizeLinear <axis=0> (x, s, z)",
        {"x": integers(-(10**6), 10**6, 5, np.int32)},
        {"s": abs(floats(5)), "z": np.zeros(5, np.int32)},
    ),
    "dequantise blocks of 4 bits": (
        "v = DequantizeLinear <axis=0, block_size=4> (w, s, z)\ny = MatMul(x, v)",
        {"x": X2},
        {
            "w": helper.make_tensor("w", onnx.TensorProto.UINT4, [6, 4], list(range(16)) + [7] * 8),
            "s": abs(floats(2, 4)),
            "z": helper.make_tensor("z", onnx.TensorProto.UINT4, [2, 4], [8, 7, 6, 5, 9, 1, 2, 3]),
        },
        {},
        21,
    ),
    "round trip, ties": (
        "q = QuantizeLinear(x, s, z)\ny = DequantizeLinear(q, s, z)\nv = DequantizeLinear(q, s, z)",
        {"x": HALVES},
        TIES,
        {"y": F32, "v": F32},
    ),
    "round trip beyond the ends": (
        "q = QuantizeLinear(x, s, z)\ny = DequantizeLinear(q, s, z)",
        {"x": 100 * X2},
        {"s": np.array(0.1, np.float32), "z": np.array(-5, np.int8)},
    ),
    "there and back by other steps": (
        "q = QuantizeLinear(x, s, z)\ny = DequantizeLinear(q, t, z)",
        {"x": HALVES},
        {**TIES, "t": np.array(0.5, np.float32)},
    ),
    "quantised layer": (
        """q = QuantizeLinear(x, s, z)
        d = DequantizeLinear(q, s, z)
        e = DequantizeLinear <axis=0> (w, t, u)
        f = DequantizeLinear <axis=0> (b, r, v)
        y = Conv <group=6> (d, e, f)""",
        {"x": X4},
        {
            "s": np.array(0.02, np.float32),
            "z": np.array(120, np.uint8),
            "w": integers(-127, 128, (6, 1, 3, 3), np.int8),
            "t": abs(floats(6)) / 100,
            "u": np.zeros(6, np.int8),
            "b": integers(-999, 999, 6, np.int32),
            "r": abs(floats(6)) / 5000,
            "v": np.zeros(6, np.int32),
        },
    ),
    **{
        f"dynamically quantise {name}": (
            "y, s, z = DynamicQuantizeLinear(x)",
            {"x": x},
            {},
            {"y": U8, "s": F32, "z": U8},
        )
        for name, x in {
            "both signs": X2,
            "above": abs(X2) + 1,
            "below": -abs(X2),
            "0": 0 * X2,
        }.items()
    },
    # Seven bits: on some CPUs ONNX Runtime's sums of pairs of larger products saturate.
    "integer matmul": (
        "y = MatMulInteger(a, b, za, zb)",
        {"a": integers(0, 256, (3, 64), np.uint8), "za": np.array(99, np.uint8)},
        {"b": integers(-63, 64, (64, 5), np.int8), "zb": np.array([0, 1, -2, 3, -4], np.int8)},
        {"y": I32},
    ),
    "integer matmul, no zero points": (
        "y = MatMulInteger(a, b)",
        {"a": integers(0, 256, (3, 64), np.uint8)},
        {"b": integers(-63, 64, (64, 5), np.int8)},
        {"y": I32},
    ),
    "integer conv": (
        "y = ConvInteger <pads=[1,1,1,1], strides=[2,1]> (a, b, za)",
        {"a": integers(0, 256, (1, 6, 7, 8), np.uint8), "za": np.array(99, np.uint8)},
        {"b": integers(-63, 64, (4, 6, 3, 3), np.int8)},
        {"y": I32},
    ),
    **{
        f"matmul of {bits} bits, {name}": (
            f"y = com.microsoft.MatMulNBits <K=80, N=6, bits={bits}, block_size=32> (x, {given})",
            {"x": floats(3, 80)},
            {
                "w": integers(0, 256, (6, 3, 4 * bits), np.uint8),
                "s": abs(floats(18)) / 100,
                **(
                    {"z": integers(0, 256, 6 * (3 * bits + 7) // 8 // 6 * 6, np.uint8)}
                    if "z" in given
                    else {}
                ),
                **({"b": floats(6)} if "b" in given else {}),
            },
        )
        for bits in (4, 8)
        for name, given in {
            "symmetric": "w, s",
            "with zeros": "w, s, z",
            "with bias": "w, s, , , b",
        }.items()
    },
    **{
        op: (f"y = {op}(x)", {"x": abs(X2) if op in ("Log", "Sqrt", "Reciprocal") else 3 * X2})
        for op in UNARY
    },
    **{
        op: (f"y = {op}(x, w)", {"x": X2}, {"w": floats(6, seed=1)}) for op in ("Add", "Sub", "Mul")
    },
    **{
        op: (f"y = {op}(x, w)", {"x": X2.round()}, {"w": floats(6).round()}, {"y": BOOL})
        for op in ("Equal", "Less", "Greater")
    },
    **{
        op: (f"y = {op}(x, w)", {"x": X2 > 0}, {"w": X2[:1] > 0.3}, {"y": BOOL})
        for op in ("And", "Or")
    },
    "Not": ("y = Not(x)", {"x": X2 > 0}, {}, {"y": BOOL}),
}


@pytest.mark.parametrize("name", CASES)
def test_operator(name: str) -> None:
    """With constants as they are; with none, where there can be; and with nothing else."""
    nodes, inputs, *more = CASES[name]
    constants, outputs, opset = [*more, *[{}, {}, 18][len(more) :]]
    expected = session(model(nodes, inputs, constants, outputs, opset)).run(None, inputs)
    ranks = [value.ndim for value in expected]
    everything = {**inputs, **constants}
    splits = [(inputs, constants), ({}, everything)]
    if all(isinstance(value, np.ndarray) for value in constants.values()):
        splits.append((everything, {}))
    ways = [(model(nodes, *split, outputs, opset, ranks), split[0]) for split in splits]
    for graph, given in ways:
        got = run(TorchGraph(graph), given)
        assert len(got) == len(expected)
        for a, b in zip(got, expected, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 if b.dtype == np.float32 else 0)


def test_sums_of_integers_are_exact_beyond_what_a_float_holds() -> None:
    a = integers(250, 256, (3, 2048), np.uint8)
    b = integers(120, 128, (2048, 5), np.int8)
    graph = TorchGraph(model("y = MatMulInteger(a, b)", {"a": a}, {"b": b}, {"y": I32}, ranks=[2]))
    expected = a.astype(np.int64) @ b.astype(np.int64)
    assert (expected.astype(np.float32) != expected).any()
    np.testing.assert_array_equal(run(graph, {"a": a})[0], expected)
    np.testing.assert_array_equal(run(graph, {"a": 0 * a})[0], 0 * expected)


def test_weights_are_dequantised_once() -> None:
    nodes, inputs, constants, *_ = CASES["quantised layer"]
    graph = TorchGraph(model(nodes, inputs, constants, ranks=[4]))
    # The scale of the activations, and weight and bias.
    assert sorted(tuple(b.shape) for b in graph.buffers()) == [(), (6,), (6, 1, 3, 3)]
    assert {b.dtype for b in graph.buffers()} == {torch.float32}


def test_what_several_nodes_read_is_rounded_once() -> None:
    nodes, inputs, constants, outputs = CASES["round trip, ties"]
    graph = TorchGraph(model(nodes, inputs, constants, outputs, ranks=[2, 2]))
    assert len(graph._steps) == 1


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ("y = Det(x)", "the operator Det, which"),
        ("y = com.microsoft.Attention(x)", "the operator com.microsoft.Attention, which"),
        ('y = AveragePool <kernel_shape=[2], auto_pad="SAME_UPPER"> (x)', "auto_pad=SAME_UPPER"),
        ("y, z = LayerNormalization(x, x)", "LayerNormalization with 2 outputs"),
        ("y = Cast <to=16> (x)", "Cast with to=16"),
        ('y = Constant <value_string="a"> ()', "Constant with value_string"),
    ],
)
def test_an_unknown_operator_is_named(nodes: str, says: str) -> None:
    with pytest.raises(BundleError, match="use --backend onnx") as caught:
        TorchGraph(model(nodes, {"x": X3}, ranks=[3, 3]))
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_defaults_of_old_opsets_are_not_taken_for_those_of_today() -> None:
    with pytest.raises(BundleError, match="Softmax of opset 12"):
        TorchGraph(model("y = Softmax(x)", {"x": X3}, opset=12, ranks=[3]))


@pytest.mark.parametrize(
    "data",
    [b"", b"no graph", model("y = Relu(x)", {"x": X2})[:-20], model("y = Relu(z)", {"x": X2})],
)
def test_what_is_no_graph_is_one_line(data: bytes) -> None:
    with pytest.raises(BundleError, match="this is no ONNX graph") as caught:
        TorchGraph(data)
    assert len(str(caught.value).splitlines()) == 1


# Whole graphs


def made_up_inputs(graph: onnxruntime.InferenceSession, seed: int, **sizes: int) -> Arrays:
    random = np.random.default_rng(seed)
    inputs = {}
    for value in graph.get_inputs():
        shape = [sizes[size] if isinstance(size, str) else size for size in value.shape]
        if value.type == "tensor(int64)":
            inputs[value.name] = random.integers(3, 30, shape)
        else:
            inputs[value.name] = random.standard_normal(shape).astype(np.float32)
    return inputs


def assert_near(got: list[np.ndarray], expected: list[np.ndarray]) -> None:
    """Floats are summed in another order: 1e-6 of their size each time, a few hundred times."""
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4 * abs(b).max())


def distance(got: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """RMS of the difference over RMS."""
    a, b = (np.concatenate([part.ravel() for part in parts]) for parts in (got, expected))
    return float(np.sqrt(((a - b) ** 2).mean() / (b**2).mean()))


# One of each kind, at half its depth: its siblings, and it, have more of the same operators.
KINDS = {(family.lite, family.image): name for name, family in ENCODERS.items()}


@pytest.fixture(params=KINDS.values())
def student(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Student:
    monkeypatch.setitem(ENCODERS, request.param, replace(ENCODERS[request.param], depth=0.5))
    torch.manual_seed(0)
    student = Student(StudentSpec(40, encoder=request.param))
    for module in student.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():  # norms that have seen data, lest all inputs give the same
        student.encoder.train()(torch.randn(4, 320, 64))
    return student.eval()


def test_encoder_in_fp32(student: Student, tmp_path: Path) -> None:
    export_encoder(student, 64, tmp_path / "encoder.onnx")
    encoder = (tmp_path / "encoder.onnx").read_bytes()
    theirs, ours = session(encoder), TorchGraph(encoder)
    for frames in (96, 333):
        inputs = made_up_inputs(theirs, frames, frames=frames)
        expected = theirs.run(None, inputs)
        assert np.std(expected[0] - np.roll(expected[0], 1, axis=-2)) > 0.1  # it hears something
        assert_near(run(ours, inputs), expected)


def test_decoder_in_fp32(tmp_path: Path) -> None:
    torch.manual_seed(0)
    export_decoder(Student(StudentSpec(40)).eval(), tmp_path / "decoder.onnx")
    decoder = (tmp_path / "decoder.onnx").read_bytes()
    theirs, ours = session(decoder), TorchGraph(decoder)
    for count, length, beams in ((0, 3, 1), (1, 16, 4), (5, 31, 2)):
        inputs = made_up_inputs(theirs, count, count=count, length=length, beams=beams)
        assert_near(run(ours, inputs), theirs.run(None, inputs))


def test_shipped_encoder_in_int8() -> None:
    """As near as ONNX Runtime is to itself.

    Without its optimisations it sums the same graph in floats. Where a sum lies close to the middle
    between two integers the last bit decides, and dozens of layers multiply that: no two runtimes
    give the same, by about half of what int8 is from fp32.
    """
    bundle = load_bundle(default_bundle())
    model = bundle.graphs["encoder.onnx"]
    theirs, plain, ours = session(model), session(model, optimised=False), TorchGraph(model)
    samples, rate = soundfile.read(SAMPLE, frames=32_000 * 10, dtype="float32")
    features = LogMel(bundle.features)(samples[:: rate // bundle.features.sample_rate])
    for frames in (333, 500):
        inputs = {"features": features[:frames]}
        expected = theirs.run(None, inputs)
        itself = distance(plain.run(None, inputs), expected)
        assert itself < 0.1
        assert distance(run(ours, inputs), expected) < max(1.3 * itself, 1e-4)


def test_shipped_decoder_in_int8() -> None:
    """Most steps are as defined to a few of the last bits.

    In some, a value lies so close to the middle between two integers that those bits decide. And
    on some CPUs ONNX Runtime's own products saturate.
    """
    model = load_bundle(default_bundle()).graphs["decoder.onnx"]
    theirs, ours = session(model), TorchGraph(model)
    defined = onnx.load_from_string(model)
    defined.opset_import[0].version = 21  # of before, ONNX has no reference for dequantising
    definition = ReferenceEvaluator(defined)
    distances = []
    for count in range(7):
        inputs = made_up_inputs(theirs, count, count=count, length=16, beams=2)
        got = run(ours, inputs)
        distances.append(distance(got, definition.run(None, dict(inputs))))
        assert distance(got, theirs.run(None, inputs)) < 0.02
    assert np.median(distances) < 1e-5
    assert max(distances) < 0.02
