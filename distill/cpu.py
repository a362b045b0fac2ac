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

    On a CPU their gradient takes 2.7 times as long in bf16 (oneDNN 3, AVX-512 BF16; measured over
    the layers of `efflite`), which made half of a training step.
    """

    def forward(conv: nn.Conv2d, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return conv._conv_forward(x.float(), conv.weight, conv.bias).to(x.dtype)

    for conv in module.modules():
        if isinstance(conv, nn.Conv2d) and conv.groups > 1:
            conv.forward = partial(forward, conv)  # type: ignore[method-assign]
