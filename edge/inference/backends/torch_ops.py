"""ONNX's operators as functions of tensors, with the arithmetic of their definitions.

Inputs are arguments, None where a node leaves one out; attributes are keyword arguments, only those
that a function takes. https://onnx.ai/onnx/operators/ defines each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from edge.errors import BundleError

Ints = list[int]


@dataclass(frozen=True)
class Op:
    """How to run an operator."""

    run: Callable[..., Any]
    numbers: tuple[int, ...] = ()  # inputs that `run` wants as Python numbers: shapes, bounds
    scalars: tuple[int, ...] = ()  # inputs that may be one Python number, if they are constant
    weights: tuple[int, ...] = ()  # inputs of which `prepare` makes one, in the place of the first
    prepare: Callable[..., Tensor] | None = None  # runs once, where those are constant
    many: bool = False  # `run` returns a tuple, not one tensor


def unknown(what: str) -> BundleError:
    """The error of an operator, or a use of one, that is not in the table."""
    return BundleError(
        f"PyTorch backend: the graph uses the operator {what}, which it does not know; "
        "use --backend onnx"
    )


# Convolution and pooling


def _padding(x: Tensor, pads: Ints | None) -> tuple[Tensor, Ints]:
    """`x` padded if the two sides differ, and the padding that is left to do."""
    n = x.dim() - 2
    pads = pads or [0] * (2 * n)
    if pads[:n] == pads[n:]:
        return x, pads[:n]
    return F.pad(x, [pads[i] for j in reversed(range(n)) for i in (j, n + j)]), [0] * n


def _channels_last(x: Tensor) -> Tensor:
    """The layout in which PyTorch's depthwise convolutions are several times as fast."""
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    kernel_shape: Ints | None = None,
    strides: Ints | None = None,
    pads: Ints | None = None,
    dilations: Ints | None = None,
    group: int = 1,
) -> Tensor:
    del kernel_shape  # the weight has it, too
    n = x.dim() - 2
    x, padding = _padding(x, pads)
    strides, dilations = strides or [1] * n, dilations or [1] * n
    run = F.conv1d if n == 1 else F.conv2d
    return run(_channels_last(x), weight, bias, strides, padding, dilations, group)


def average_pool(
    x: Tensor,
    *,
    kernel_shape: Ints,
    strides: Ints | None = None,
    pads: Ints | None = None,
    count_include_pad: int = 0,
) -> Tensor:
    n = x.dim() - 2
    if pads and pads[:n] != pads[n:] and not count_include_pad:
        raise unknown("AveragePool with pads that differ from side to side")
    x, padding = _padding(x, pads)
    run = F.avg_pool1d if n == 1 else F.avg_pool2d
    return run(x, kernel_shape, strides or [1] * n, padding, False, bool(count_include_pad))


# Products, norms, reductions


def gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
) -> Tensor:
    a, b = a.t() if transA else a, b.t() if transB else b
    return alpha * (a @ b) if c is None else torch.addmm(c, a, b, beta=beta, alpha=alpha)


def layer_norm(
    x: Tensor,
    scale: Tensor,
    bias: Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
) -> Tensor:
    shape = x.shape[axis:]
    if scale.shape != shape:
        scale = scale.expand(shape)
    if bias is not None and bias.shape != shape:
        bias = bias.expand(shape)
    return F.layer_norm(x, shape, scale, bias, epsilon)


def reduce_mean(
    x: Tensor, axes: Ints | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Tensor:
    if not axes and noop_with_empty_axes:
        return x
    return x.mean(axes or None, bool(keepdims))


# Shapes


def reshape(x: Tensor, sizes: Ints, *, allowzero: int = 0) -> Tensor:
    if allowzero or 0 not in sizes:
        return x.reshape(sizes)
    return x.reshape([x.shape[i] if size == 0 else size for i, size in enumerate(sizes)])


def squeeze(x: Tensor, axes: Ints | None = None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze(axes)


def unsqueeze(x: Tensor, axes: Ints) -> Tensor:
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def transpose(x: Tensor, *, perm: Ints | None = None) -> Tensor:
    return x.permute(*perm) if perm else x.permute(*reversed(range(x.dim())))


def expand(x: Tensor, sizes: Ints) -> Tensor:
    shape: Ints = torch.broadcast_shapes(x.shape, sizes)  # type: ignore[no-untyped-call]
    return x.expand(shape)


def slices(
    x: Tensor, starts: Ints, ends: Ints, axes: Ints | None = None, steps: Ints | None = None
) -> Tensor:
    where = [slice(None)] * x.dim()
    for i, axis in enumerate(range(len(starts)) if axes is None else axes):
        chosen = slice(starts[i], ends[i], 1 if steps is None else steps[i])
        begin, end, step = chosen.indices(x.shape[axis])
        if step > 0:
            where[axis] = slice(begin, end, step)
        else:  # which PyTorch's slices cannot
            order = torch.arange(begin, end, step) if begin > end else torch.arange(0)
            x = x.index_select(axis, order.to(x.device))
    return x[tuple(where)]


def split(
    x: Tensor, sizes: Ints | None = None, *, axis: int = 0, num_outputs: int = 1
) -> tuple[Tensor, ...]:
    if sizes is None:
        return x.chunk(num_outputs, axis)
    return x.split_with_sizes(sizes, axis)


def pad(
    x: Tensor,
    pads: Ints,
    value: float | None = None,
    axes: Ints | None = None,
    *,
    mode: str = "constant",
) -> Tensor:
    axes = list(range(x.dim())) if axes is None else axes
    sides = [0] * (2 * x.dim())  # of the last axis first, as PyTorch wants them
    for i, axis in enumerate(axes):
        last = x.dim() - 1 - axis % x.dim()
        sides[2 * last : 2 * last + 2] = pads[i], pads[len(axes) + i]
    if mode == "constant":
        return F.pad(x, sides, value=value or 0)
    spatial = 2 * max(1, x.dim() - 2)
    if any(sides[spatial:]):
        raise unknown(f"Pad with mode={mode} over batch or channels")
    modes = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    return F.pad(x, sides[:spatial], modes[mode])


def gather(x: Tensor, indices: Tensor | int, *, axis: int = 0) -> Tensor:
    if isinstance(indices, int):
        return x.select(axis, indices)
    return x[(slice(None),) * (axis % x.dim()) + (indices,)]


def gather_nd(x: Tensor, indices: Tensor) -> Tensor:
    return x[indices.unbind(-1)]


def shape(x: Tensor, *, start: int = 0, end: int | None = None) -> Tensor:
    return torch.tensor(x.shape[start:end], dtype=torch.int64, device=x.device)


def constant_of_shape(sizes: Tensor, *, value: Tensor | None = None) -> Tensor:
    value = torch.zeros(1) if value is None else value
    return torch.full(sizes.tolist(), value.item(), dtype=value.dtype, device=sizes.device)


def arange(start: Tensor, limit: float, delta: float) -> Tensor:
    return torch.arange(start.item(), limit, delta, dtype=start.dtype, device=start.device)


# Element by element


def divide(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def power(a: Tensor, b: Tensor) -> Tensor:
    return torch.pow(a, b).to(a.dtype)


def clip(x: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    return x if low is None and high is None else x.clamp(low, high)


def hard_sigmoid(x: Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    return (alpha * x + beta).clamp_(0, 1)


def gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    return F.gelu(x, approximate=approximate)


def softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    return torch.softmax(x, axis)


def concat(*parts: Tensor, axis: int) -> Tensor:
    return torch.cat(parts, axis)


def cast(x: Tensor, *, to: torch.dtype) -> Tensor:
    return x.to(to)


OPS = {
    "Conv": Op(conv, weights=(1,), prepare=_channels_last),
    "AveragePool": Op(average_pool),
    "GlobalAveragePool": Op(lambda x: x.mean(list(range(2, x.dim())), True)),
    "Gemm": Op(gemm),
    "MatMul": Op(torch.matmul),
    "LayerNormalization": Op(layer_norm),
    "ReduceMean": Op(reduce_mean, numbers=(1,)),
    "Softmax": Op(softmax),
    "Shape": Op(shape),
    "Reshape": Op(reshape, numbers=(1,)),
    "Squeeze": Op(squeeze, numbers=(1,)),
    "Unsqueeze": Op(unsqueeze, numbers=(1,)),
    "Transpose": Op(transpose),
    "Expand": Op(expand, numbers=(1,)),
    "Concat": Op(concat),
    "Slice": Op(slices, numbers=(1, 2, 3, 4)),
    "Split": Op(split, numbers=(1,), many=True),
    "Pad": Op(pad, numbers=(1, 2, 3)),
    "Gather": Op(gather, scalars=(1,)),
    "GatherND": Op(gather_nd),
    "ConstantOfShape": Op(constant_of_shape),
    "Range": Op(arange, numbers=(1, 2)),
    "Cast": Op(cast),
    "Where": Op(torch.where),
    "Add": Op(torch.add),
    "Sub": Op(torch.sub),
    "Mul": Op(torch.mul),
    "Div": Op(divide),
    "Pow": Op(power),
    "Min": Op(lambda *xs: reduce(torch.minimum, xs)),
    "Max": Op(lambda *xs: reduce(torch.maximum, xs)),
    "Equal": Op(torch.eq),
    "Less": Op(torch.lt),
    "Greater": Op(torch.gt),
    "Not": Op(torch.logical_not),
    "And": Op(torch.logical_and),
    "Or": Op(torch.logical_or),
    "Neg": Op(torch.neg),
    "Abs": Op(torch.abs),
    "Exp": Op(torch.exp),
    "Log": Op(torch.log),
    "Sqrt": Op(torch.sqrt),
    "Reciprocal": Op(torch.reciprocal),
    "Erf": Op(torch.erf),
    "Tanh": Op(torch.tanh),
    "Sigmoid": Op(torch.sigmoid),
    "HardSigmoid": Op(hard_sigmoid),
    "HardSwish": Op(F.hardswish),
    "Relu": Op(torch.relu),
    "Clip": Op(clip, numbers=(1, 2)),
    "Gelu": Op(gelu),
    "com.microsoft.Gelu": Op(gelu),
}
