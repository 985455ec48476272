"""What the projections share: layout, checks of the input, and arithmetic that keeps the result feasible.

Everything is computed in float64 (float32 on devices without it). The answer is rounded *towards zero* to the
dtype of the input, so that a ball is never left through rounding, and a tensor whose norm is within
:func:`tolerance` of the radius is returned bit for bit: applying a projection twice is applying it once.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from netsmith.errors import NetsmithError

_INTEGERS = {torch.float16: torch.int16, torch.bfloat16: torch.int16, torch.float32: torch.int32}


def tolerance(dtype: torch.dtype) -> float:
    """Relative excess of a norm over the radius that counts as rounding, about 1e-12 in float64."""
    return 4096 * torch.finfo(dtype).eps


def check_radius(radius: float) -> None:
    """Raise :class:`NetsmithError` unless the radius is a finite number >= 0."""
    if not math.isfinite(radius) or radius < 0:
        raise NetsmithError(
            f"radius is {radius}, expected a finite number >= 0 (0 gives all zeros); "
            "give the largest norm allowed"
        )


def widen(tensor: Tensor, batch_dims: int) -> Tensor:
    """Return the tensor in the dtype to compute in, after checking that it can be projected."""
    if tensor.dtype not in (torch.float64, *_INTEGERS):
        raise NetsmithError(
            f"cannot project a tensor of {tensor.dtype}, expected float16, bfloat16, float32 or float64; "
            "convert it"
        )
    if not 0 <= batch_dims <= tensor.dim():
        raise NetsmithError(
            f"batch_dims is {batch_dims}, expected 0 to {tensor.dim()} for shape {tuple(tensor.shape)}; "
            "give the number of leading dimensions that number independent tensors"
        )
    return tensor.to(torch.float32 if tensor.device.type == "mps" else torch.float64)


def as_rows(tensor: Tensor, batch_dims: int) -> Tensor:
    """Lay a tensor out as ``[batch, entries]`` in the dtype to compute in."""
    wide = widen(tensor, batch_dims)
    return wide.reshape(math.prod(tensor.shape[:batch_dims]), math.prod(tensor.shape[batch_dims:]))


def as_groups(tensor: Tensor, dim: int, batch_dims: int) -> Tensor:
    """Lay a tensor out as ``[batch, groups, entries]``; ``dim`` numbers the groups, the others fill them."""
    wide = widen(tensor, batch_dims)
    first = dim + tensor.dim() if dim < 0 else dim
    if not batch_dims <= first < tensor.dim():
        raise NetsmithError(
            f"dim is {dim} for shape {tuple(tensor.shape)} with {batch_dims} batch dimensions, expected one "
            f"from {batch_dims} to {tensor.dim() - 1}; give the one that numbers the groups"
        )
    moved = wide.movedim(first, batch_dims)
    shape = moved.shape
    return moved.reshape(math.prod(shape[:batch_dims]), shape[batch_dims], math.prod(shape[batch_dims + 1 :]))


def from_groups(groups: Tensor, like: Tensor, dim: int, batch_dims: int) -> Tensor:
    """Undo :func:`as_groups`."""
    first = dim % like.dim()
    shape = [*like.shape[:batch_dims], like.shape[first]]
    shape += [size for d, size in enumerate(like.shape) if d >= batch_dims and d != first]
    return groups.reshape(shape).movedim(batch_dims, first)


def check_finite(norms: Tensor) -> None:
    """Raise :class:`NetsmithError` if a norm, and so an entry, is NaN or infinite."""
    if not bool(norms.isfinite().all()):
        raise NetsmithError(
            "the tensor has NaN or infinite entries (or its norm overflows), expected finite ones; "
            "look for what made them, often a learning rate that is too high"
        )


def within(norm: Tensor, radius: float) -> Tensor:
    """Tell for each norm ``[batch]`` whether it is inside the radius, after checking both."""
    check_radius(radius)
    check_finite(norm)
    return norm <= radius * (1 + tolerance(norm.dtype))


def towards_zero(wide: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert to ``dtype`` without making any magnitude larger, and without negative zeros."""
    near = wide.to(dtype)
    if near.dtype != wide.dtype:
        with torch.no_grad():
            larger = near.abs() > wide.abs()
            # Floats are sign and magnitude: one less as an integer is the next value towards zero.
            bits = near.detach().view(_INTEGERS[dtype])
            fixed = (bits - larger.to(bits.dtype)).view(dtype)
        near = near + (fixed - near).detach() if near.requires_grad else fixed
    return near + 0.0


def merge(projected: Tensor, tensor: Tensor, inside: Tensor, batch_dims: int) -> Tensor:
    """Take each batch member that is ``inside`` from the input as it is, the others from ``projected``."""
    if not bool(inside.any()):
        return projected
    shape = (*tensor.shape[:batch_dims], *[1] * (tensor.dim() - batch_dims))
    return torch.where(inside.reshape(shape), tensor, projected)
