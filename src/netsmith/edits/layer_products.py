"""The one layer that two linear layers or convolutions make together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from netsmith.edits.substitution import double, parameter_like


def product_of(first: Any, second: Any) -> Any:
    """Return the one layer that two make, or ``None`` where they do not make one."""
    if isinstance(first, nn.Linear) and isinstance(second, nn.Linear):
        weight = double(second.weight) @ double(first.weight)
        one: Any = nn.Linear(first.in_features, second.out_features, bias=False, device="meta")
        return _filled(one, weight, double(second.weight), first, second)
    if isinstance(first, nn.Linear) or isinstance(second, nn.Linear) or first.groups * second.groups != 1:
        return None
    mix = double(second.weight).flatten(2).sum(2)
    strides = tuple(a * b for a, b in zip(first.stride, second.stride, strict=True))
    if _pointwise(second) and (first.padding != "same" or max(strides) == 1):
        shaped = first
        weight = torch.einsum("om,mi...->oi...", mix, double(first.weight))
    elif _pointwise(first) and max(first.stride) == 1 and (first.bias is None or not _pads(second)):
        shaped = second
        weight = torch.einsum("om...,mi->oi...", double(second.weight), double(first.weight).flatten(1))
    else:
        return None
    one = getattr(nn, f"Conv{len(strides)}d")(
        first.in_channels, second.out_channels, shaped.kernel_size, stride=strides, padding=shaped.padding,
        dilation=shaped.dilation, padding_mode=shaped.padding_mode, bias=False, device="meta",
    )  # fmt: skip
    return _filled(one, weight, mix, first, second)


def _pointwise(module: Any) -> bool:
    return all(extent == 1 for extent in module.kernel_size) and not _pads(module)


def _pads(module: Any) -> bool:
    if isinstance(module.padding, str):
        return module.padding == "same" and any(extent > 1 for extent in module.kernel_size)
    return any(module.padding)


def _filled(one: Any, weight: Tensor, mix: Tensor, first: Any, second: Any) -> Any:
    """Give a merged layer its weight and the bias that comes out of both."""
    one.weight = parameter_like(weight, first.weight)
    if first.bias is not None or second.bias is not None:
        bias = double(second.bias) if second.bias is not None else mix.new_zeros(len(mix))
        if first.bias is not None:
            bias = bias + mix @ double(first.bias)
        one.bias = parameter_like(bias, first.weight)
    return one
