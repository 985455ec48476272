"""Slow, obviously right twins of the projections, and the inputs that every projection test shares."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def bisect(shrunk_norm: Callable[[Tensor], Tensor], radius: float, high: Tensor) -> Tensor:
    """The multiplier t >= 0 with ``shrunk_norm(t) == radius``; 0 where the norm is within the radius."""
    low = torch.zeros_like(high)
    for _ in range(200):
        middle = (low + high) / 2
        outside = shrunk_norm(middle) > radius
        low, high = torch.where(outside, middle, low), torch.where(outside, high, middle)
    return torch.where(shrunk_norm(torch.zeros_like(high)) <= radius, 0.0, high)


def l1(rows: Tensor, radius: float) -> Tensor:
    """Minimiser of ``½|x - v|² + t·|x|₁`` for the multiplier that meets the constraint; ``[n, entries]``."""
    size = rows.abs()
    t = bisect(lambda t: (size - t[:, None]).clamp_min(0).sum(-1), radius, size.amax(-1))
    return rows.sign() * (size - t[:, None]).clamp_min(0)


def l21(matrices: Tensor, radius: float) -> Tensor:
    """The same for ``t·Σ_j |x_j|₂`` over columns; ``[n, rows, columns]``."""
    lengths = matrices.square().sum(1).sqrt()
    t = bisect(lambda t: (lengths - t[:, None]).clamp_min(0).sum(-1), radius, lengths.amax(-1))
    factor = (1 - t[:, None] / lengths.clamp_min(1e-300)).clamp_min(0)
    return matrices * factor[:, None, :]


def nuclear(matrices: Tensor, radius: float) -> Tensor:
    """The same for ``t·|X|_*``, with numpy's decomposition; ``[n, rows, columns]``."""
    left, values, right = (
        torch.from_numpy(part) for part in np.linalg.svd(matrices.numpy(), full_matrices=False)
    )
    t = bisect(lambda t: (values - t[:, None]).clamp_min(0).sum(-1), radius, values.amax(-1))
    return torch.einsum("nik,nk,nkj->nij", left, (values - t[:, None]).clamp_min(0), right)


def l11_slow(matrix: Tensor, radius: float) -> Tensor:
    """The structured l1,1 of one matrix by its definition: sorted thresholds, loops over the columns."""
    sums = [sum(abs(float(entry)) for entry in column) for column in matrix.T]
    result = torch.zeros_like(matrix)
    for j, share in enumerate(_sorted_l1(sums, radius)):
        column = [abs(float(entry)) for entry in matrix[:, j]]
        for i, size in enumerate(_sorted_l1(column, share)):
            result[i, j] = size if matrix[i, j] > 0 else -size
    return result


def _sorted_l1(sizes: list[float], radius: float) -> list[float]:
    if sum(sizes) <= radius:
        return sizes
    total, threshold = 0.0, 0.0
    for k, size in enumerate(sorted(sizes, reverse=True), start=1):
        total += size
        threshold = max(threshold, (total - radius) / k)
    return [max(size - threshold, 0.0) for size in sizes]


def inputs(count: int, *shape: int, seed: int) -> Tensor:
    """Random float64 tensors with uneven scales, zeros and ties."""
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randn(count, *shape, generator=generator, dtype=torch.float64)
    draw = draw * torch.exp(2 * torch.randn(count, *[1] * (len(shape) - 1), shape[-1], generator=generator))
    draw[count // 3 : 2 * count // 3] = (2 * draw[count // 3 : 2 * count // 3]).round() / 2
    return draw * (torch.rand(count, *shape, generator=generator) > 0.1)


def worst_variational(tensor: Tensor, projected: Tensor, feasible: Tensor) -> float:
    """Largest ``<V - P, Z - P>`` over the feasible Z, relative to the lengths; <= 0 says P is nearest."""
    residual = (tensor - projected).flatten()
    steps = feasible.flatten(1) - projected.flatten()
    return float(((steps @ residual) / (steps.norm(dim=1) * residual.norm()).clamp_min(1e-300)).max())
