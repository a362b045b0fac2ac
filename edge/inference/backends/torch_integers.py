"""ONNX's operators of quantised graphs, for PyTorch; integers are summed in floats, exactly."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from edge.inference.backends.torch_ops import Ints, Op, conv, unknown


def _bounds(dtype: torch.dtype) -> tuple[int, int]:
    return torch.iinfo(dtype).min, torch.iinfo(dtype).max


def _along(values: Tensor, x: Tensor, axis: int, block_size: int) -> Tensor:
    """Scales or zero points so that they broadcast with `x`."""
    if block_size:
        return values.repeat_interleave(block_size, axis).narrow(axis, 0, x.shape[axis])
    if values.numel() == 1:
        return values.reshape(())
    return values.reshape([-1 if i == axis % x.dim() else 1 for i in range(x.dim())])


def quantise(
    x: Tensor,
    scale: Tensor,
    zero: Tensor | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: torch.dtype | None = None,
) -> Tensor:
    dtype = zero.dtype if zero is not None else output_dtype or torch.uint8
    y = (x / _along(scale, x, axis, block_size)).round_()  # half to even
    if zero is not None:
        y += _along(zero, x, axis, block_size)
    return y.clamp_(*_bounds(dtype)).to(dtype)


def dequantise(
    x: Tensor, scale: Tensor, zero: Tensor | None = None, *, axis: int = 1, block_size: int = 0
) -> Tensor:
    y = x.to(scale.dtype)
    if zero is not None:
        y = y - _along(zero, x, axis, block_size)
    return y * _along(scale, x, axis, block_size)


def round_trip(x: Tensor, scale: Tensor, *, low: int, high: int) -> Tensor:
    """What `quantise` and then `dequantise` give; the bounds are those less the zero point."""
    return (x / scale).round_().clamp_(low, high).mul_(scale)


def round_trip_bounds(zero: Tensor) -> dict[str, int]:
    """Attributes of a `round_trip` for this zero point."""
    low, high = _bounds(zero.dtype)
    return {"low": low - int(zero.item()), "high": high - int(zero.item())}


def dynamic_quantise(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    low, high = (bound.to(x.dtype) for bound in torch.aminmax(x))
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = (high - low) / 255
    scale = torch.where(scale == 0, 1.0, scale)  # of zeros alone, as ONNX Runtime has it
    zero = (-low / scale).clamp_(0, 255).round_()
    y = (x / scale).round_().add_(zero).clamp_(0, 255)
    return y.to(torch.uint8), scale, zero.to(torch.uint8)


def centre(weight: Tensor, zero: Tensor | None = None, *, columns: bool) -> Tensor:
    """Weights less their zero points, in the smallest type of float whose sums are exact.

    The outputs are the columns of a matrix, or else the filters of a convolution.
    """
    centred = weight.to(torch.float64)
    if zero is not None:
        one_each = zero.numel() > 1 and not columns
        centred = centred - (zero.reshape(-1, *[1] * (weight.dim() - 1)) if one_each else zero)
    magnitude = centred.abs()
    sums = magnitude.sum(-2) if columns else magnitude.flatten(1).sum(1)
    # The other factors are bytes less a byte.
    return centred.to(torch.float32 if 255 * sums.max().item() < 2**24 else torch.float64)


def matmul_integer(
    a: Tensor, weight: Tensor, a_zero: Tensor | None = None, _: None = None
) -> Tensor:
    a = a.to(weight.dtype)
    if a_zero is not None:
        a = a - (a_zero[..., None] if a_zero.dim() else a_zero)
    return torch.matmul(a, weight).to(torch.int32)


def conv_integer(
    x: Tensor,
    weight: Tensor,
    x_zero: Tensor | None = None,
    _: None = None,
    *,
    kernel_shape: Ints | None = None,
    strides: Ints | None = None,
    pads: Ints | None = None,
    dilations: Ints | None = None,
    group: int = 1,
) -> Tensor:
    x = x.to(weight.dtype)
    if x_zero is not None:
        x = x - x_zero
    y = conv(
        x,
        weight,
        kernel_shape=kernel_shape,
        strides=strides,
        pads=pads,
        dilations=dilations,
        group=group,
    )
    return y.to(torch.int32)


def unpack(
    packed: Tensor,
    scales: Tensor,
    zeros: Tensor | None = None,
    groups: Tensor | None = None,
    *,
    K: int,  # noqa: N803
    N: int,  # noqa: N803
    bits: int = 4,
    block_size: int,
) -> Tensor:
    """The weight (N, K) of MatMulNBits; the first of several integers in a byte is the lowest."""
    if groups is not None:
        raise unknown("MatMulNBits with g_idx")

    def integers(values: Tensor) -> Tensor:
        parts = [values >> shift & 2**bits - 1 for shift in range(0, 8, bits)]
        return torch.stack(parts, -1).reshape(N, -1)

    scales = scales.reshape(N, -1, 1)
    blocks = integers(packed).reshape(N, -1, block_size).to(scales.dtype)
    zero: Tensor | int = 2 ** (bits - 1)
    if zeros is not None:
        found = zeros.reshape(N, -1) if zeros.is_floating_point() else integers(zeros)
        zero = found[:, : scales.shape[1], None]
    return ((blocks - zero) * scales).reshape(N, -1)[:, :K].contiguous()


def matmul_n_bits(
    x: Tensor,
    weight: Tensor,
    _scales: None = None,
    _zeros: None = None,
    _groups: None = None,
    bias: Tensor | None = None,
    *,
    accuracy_level: int = 0,  # which permits to be less accurate
) -> Tensor:
    del accuracy_level
    return F.linear(x, weight, bias)


INTEGER_OPS = {
    "QuantizeLinear": Op(quantise),
    "DequantizeLinear": Op(dequantise),
    "RoundTrip": Op(round_trip),  # of ours: the two above in a row
    "DynamicQuantizeLinear": Op(dynamic_quantise, many=True),
    "MatMulInteger": Op(matmul_integer, weights=(1, 3), prepare=partial(centre, columns=True)),
    "ConvInteger": Op(conv_integer, weights=(1, 3), prepare=partial(centre, columns=False)),
    "com.microsoft.MatMulNBits": Op(matmul_n_bits, weights=(1, 2, 3, 4), prepare=unpack),
}
