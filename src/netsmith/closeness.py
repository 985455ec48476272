"""How far two results are apart, and how far floating-point arithmetic lets them be."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def relative_difference(got: Tensor, want: Tensor) -> float:
    """Return ``max|got - want| / max|want|`` (0 for empty or equal tensors, infinite for other shapes).

    Infinities that both have are no difference and set no scale; NaN in either makes the result NaN.
    """
    if got.shape != want.shape:
        return math.inf
    if got.is_complex() and want.is_complex():
        got, want = torch.view_as_real(got.resolve_conj()), torch.view_as_real(want.resolve_conj())
    if got.numel() == 0 or not got.dtype.is_floating_point:
        return 0.0 if torch.equal(got, want) else math.inf
    got, want = got.detach().double(), want.detach().double()
    scale = float(want.abs().where(want.isfinite(), 0.0).max())
    return float((got - want).abs().where(got != want, 0.0).max()) / max(scale, 1e-12)


def tolerance(dtype: torch.dtype) -> float:
    """Return the relative difference that rounding alone can make of a whole network in a data type."""
    real = dtype.to_real() if dtype.is_complex else dtype
    return {torch.float64: 1e-10, torch.float32: 1e-4}.get(real, 5e-2)
