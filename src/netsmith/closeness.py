"""How far two results are apart, and how far floating-point arithmetic lets them be."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def relative_difference(got: Tensor, want: Tensor) -> float:
    """Return ``max|got - want| / max|want|`` (0 for empty or equal tensors, infinite for other shapes)."""
    if got.shape != want.shape:
        return math.inf
    if got.numel() == 0 or not got.dtype.is_floating_point:
        return 0.0 if torch.equal(got, want) else math.inf
    scale = float(want.abs().max().double())
    return float((got.double() - want.double()).abs().max()) / max(scale, 1e-12)


def tolerance(dtype: torch.dtype) -> float:
    """Return the relative difference that rounding alone can make of a whole network in a data type."""
    return {torch.float64: 1e-10, torch.float32: 1e-4}.get(dtype, 5e-2)
