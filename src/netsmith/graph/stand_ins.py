"""Outputs of the commonest operators on the ``meta`` device, made from shapes alone.

PyTorch works out many ``meta`` results in Python, at a hundred times the cost of looking at the shapes. What
is not here, or not in the plain form it has here, runs as PyTorch has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def _like(tensor: Tensor) -> Tensor | None:
    # empty_like itself is one of the results that PyTorch works out in Python.
    shape, strides = tensor.shape, tensor.stride()
    if not tensor.is_contiguous():
        reach = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        if reach + 1 != tensor.numel() or 0 in strides:  # with gaps or overlaps, other strides come out
            return None
    return torch.empty_strided(shape, strides, dtype=tensor.dtype, device="meta")


def _image(tensor: Tensor, shape: list[int], dtype: torch.dtype | None = None) -> Tensor:
    """Return an output that keeps channels last where its input has them there, as kernels on the CPU do."""
    made = tensor.new_empty(shape, dtype=dtype)
    if tensor.dim() == 4 and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=CHANNELS_LAST):
        return made.to(memory_format=CHANNELS_LAST)
    return made


CHANNELS_LAST = torch.channels_last


def _same(args: tuple[Any, ...]) -> Tensor | None:
    return _like(args[0])


def _in_place(args: tuple[Any, ...]) -> Any:
    return args[0]


def _pointwise(args: tuple[Any, ...]) -> Any:
    first, second = args[0], args[1]
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        if first.shape != second.shape or first.dtype != second.dtype:
            return None
        return _like(first)
    return None


def _convolution(args: tuple[Any, ...]) -> Any:
    tensor, weight, _, stride, padding, dilation, transposed, _, _ = args[:9]
    if transposed or tensor.dtype != weight.dtype:
        return None
    shape = [tensor.shape[0], weight.shape[0]]
    for i, size in enumerate(tensor.shape[2:]):
        reach = dilation[i % len(dilation)] * (weight.shape[2 + i] - 1) + 1
        shape.append((size + 2 * padding[i % len(padding)] - reach) // stride[i % len(stride)] + 1)
    if min(shape) <= 0 or tensor.dim() != weight.dim() or tensor.shape[1] != weight.shape[1] * args[8]:
        return None
    return _image(tensor, shape)


def _batch_norm(args: tuple[Any, ...]) -> Any:
    tensor, weight, _, mean, _, training = args[:6]
    expected = weight if weight is not None else mean
    if expected is not None and expected.numel() != tensor.shape[1]:
        return None
    if not training:
        return None if expected is None else _with_statistics(tensor, [0])
    return _with_statistics(tensor, [tensor.shape[1]])


def _layer_norm(args: tuple[Any, ...]) -> Any:
    tensor, shape, weight = args[:3]
    lead = tensor.dim() - len(shape)
    fits = lead >= 0 and list(tensor.shape[lead:]) == list(shape)
    if not fits or not tensor.is_contiguous() or (weight is not None and list(weight.shape) != list(shape)):
        return None
    return _with_statistics(tensor, [*tensor.shape[:lead], *(1 for _ in shape)])


def _group_norm(args: tuple[Any, ...]) -> Any:
    tensor, weight, _, batch, channels, _, groups = args[:7]
    fits = channels % groups == 0 and tensor.shape[1] == channels
    if not fits or not tensor.is_contiguous() or (weight is not None and weight.numel() != channels):
        return None
    return _with_statistics(tensor, [batch, groups])


def _with_statistics(tensor: Tensor, shape: list[int]) -> Any:
    if tensor.dtype not in (torch.float32, torch.float64) or not tensor.numel():
        return None
    like = _like(tensor)
    return None if like is None else (like, tensor.new_empty(shape), tensor.new_empty(shape))


def _upsample(args: tuple[Any, ...]) -> Any:
    tensor, size = args[:2]
    if not isinstance(size, (list, tuple)) or tensor.dim() != len(size) + 2 or min(size, default=0) <= 0:
        return None
    if not tensor.is_contiguous() or not tensor.numel():
        return None
    return tensor.new_empty([*tensor.shape[:2], *size])


def _reduction(args: tuple[Any, ...]) -> Any:
    tensor, dims = args[0], args[1] if len(args) > 1 else None
    if not tensor.is_floating_point() or not isinstance(dims, (list, tuple)) or not dims:
        return None
    keep = bool(args[2]) if len(args) > 2 else False
    gone = {int(dim) % tensor.dim() for dim in dims}
    shape = [1 if i in gone else size for i, size in enumerate(tensor.shape) if keep or i not in gone]
    return tensor.new_empty(shape)


def _max_pool(args: tuple[Any, ...]) -> Any:
    tensor, kernel, stride, padding, dilation, ceil = (*args, *((None,) * (6 - len(args))))[:6]
    shape = list(tensor.shape[:-2])
    for i, size in enumerate(tensor.shape[-2:]):
        step = _at(stride, i, _at(kernel, i, 1))
        pad = _at(padding, i, 0)
        free = size + 2 * pad - _at(dilation, i, 1) * (_at(kernel, i, 1) - 1) - 1
        places = (free + (step - 1 if ceil else 0)) // step + 1
        shape.append(places - 1 if ceil and (places - 1) * step >= size + pad else places)
    if min(shape) <= 0:
        return None
    return _image(tensor, shape), _image(tensor, shape, torch.int64)


def _at(values: Any, position: int, default: int) -> int:
    if not values:
        return default
    return int(values[position % len(values)]) if isinstance(values, (list, tuple)) else int(values)


def _matrix(args: tuple[Any, ...]) -> Any:
    *bias, left, right = args
    fits = left.dim() == right.dim() and left.shape[-1] == right.shape[-2] and left.dtype == right.dtype
    if not fits or (bias and bias[0].dim() > 1) or (bias and bias[0].shape[-1:] != right.shape[-1:]):
        return None
    return left.new_empty((*left.shape[:-1], right.shape[-1]))


STAND_INS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    **dict.fromkeys(
        (
            "relu", "sigmoid", "tanh", "silu", "gelu", "hardswish", "hardsigmoid", "hardtanh", "leaky_relu",
            "elu", "mish", "softplus", "clone",
        ),
        _same,
    ),
    **dict.fromkeys(
        (
            "relu_", "silu_", "hardswish_", "hardsigmoid_", "hardtanh_", "leaky_relu_", "elu_", "mish_",
            "sigmoid_", "tanh_",
        ),
        _in_place,
    ),
    **dict.fromkeys(("add", "mul", "sub"), _pointwise),
    **dict.fromkeys(("mean", "sum"), _reduction),
    **dict.fromkeys(("addmm", "mm", "bmm"), _matrix),
    "max_pool2d_with_indices": _max_pool,
    "convolution": _convolution,
    "native_batch_norm": _batch_norm,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    **dict.fromkeys(
        (
            "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_linear1d",
            "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d",
        ),
        _upsample,
    ),
}  # fmt: skip


def stand_in(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return an operator's ``meta`` output, or ``None`` where PyTorch has to work it out."""
    make = STAND_INS.get(name)
    if make is None or kwargs or not isinstance(args[0], Tensor) or args[0].device.type != "meta":
        return None
    return make(args)
