"""Which arithmetic makes training fast on the machine at hand."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn


def precision() -> str:
    """Mixed precision that this machine is faster with; "no" where none is."""
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    return "bf16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "no"


def depthwise_in_fp32(module: nn.Module) -> None:
    """Compute the depthwise convolutions of `module` in fp32 when all else is in bf16.

    On a CPU with AVX-512 BF16, oneDNN 3 takes far longer for their gradient in bf16 than in fp32;
    for everything else bf16 is the faster one.
    """

    def forward(conv: nn.Conv2d, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return conv._conv_forward(x.float(), conv.weight, conv.bias).to(x.dtype)

    for conv in module.modules():
        if isinstance(conv, nn.Conv2d) and conv.groups > 1:
            conv.forward = partial(forward, conv)  # type: ignore[method-assign]
