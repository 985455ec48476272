"""Projection of non-negative vectors on a simplex, the step that every l1-like ball ends in."""

from __future__ import annotations

import torch
from torch import Tensor

from netsmith.projections.numerics import check_finite

# Each Newton step divides (excess x number of active entries) by four or more (Newton-Dinkelbach), so that 64
# steps exhaust float64 whatever the input; usual inputs need four to ten.
_STEPS = 64


def shrink_to_sum(magnitude: Tensor, radius: Tensor) -> Tensor:
    """Soft-threshold each row so that it sums to its radius: ``max(v - t, 0)``, ``Σ max(v - t, 0) = radius``.

    A vectorised Newton iteration on the threshold ``t`` (Michelot 1986 with a better start): a few passes
    over the data instead of a sort. Differentiable with respect to both arguments.

    Args:
        magnitude: ``[rows, entries]``, non-negative, each row summing to more than its radius (the answer for
            other rows is meaningless).
        radius: ``[rows]``, non-negative.

    Returns:
        ``[rows, entries]``, nowhere above ``magnitude``.
    """
    radius = radius.unsqueeze(-1)
    # Relative to the largest entry the threshold keeps its digits even if the radius is tiny beside it.
    centred = magnitude - magnitude.detach().amax(-1, keepdim=True)
    with torch.no_grad():
        start = torch.maximum((centred.sum(-1, keepdim=True) - radius) / centred.shape[-1], -radius)
        newton = _newton_row if centred.shape[0] == 1 else _newton_rows
        left = newton(centred.detach(), radius.detach(), start)
    over = (centred - left).clamp_min(0)
    active = (over > 0).sum(-1, keepdim=True).clamp_min(1)
    threshold = left + (over.sum(-1, keepdim=True) - radius) / active
    kept = (centred - threshold).clamp_min(0)
    total = kept.detach().sum(-1, keepdim=True)
    exact = torch.where(total > 0, radius.detach() / total, 1.0)
    return torch.minimum(kept * exact, magnitude)


def _newton_row(centred: Tensor, radius: Tensor, start: Tensor) -> Tensor:
    """Newton for a single row: entries below the threshold are dropped, so later steps cost less and less."""
    values, threshold = centred[0], start[0]
    for _ in range(_STEPS):
        active = values[values > threshold]
        if active.numel() in (0, values.numel()):
            break
        threshold = torch.maximum(threshold, (active.sum() - radius[0]) / active.numel())
        values = active
    return threshold.unsqueeze(0)


def _newton_rows(centred: Tensor, radius: Tensor, start: Tensor) -> Tensor:
    """Newton for many rows at once."""
    threshold, count = start, torch.full_like(start, centred.shape[-1], dtype=torch.int64)
    for _ in range(_STEPS):
        over = (centred - threshold).clamp_min_(0)
        active = (over > 0).sum(-1, keepdim=True)
        threshold = threshold + (over.sum(-1, keepdim=True) - radius) / active.clamp_min(1)
        if torch.equal(active, count):
            break
        count = active
    return threshold


def sparse_vertex(gradient: Tensor, radius: float) -> Tensor:
    """Return per row the vertex of the l1 ball that minimises ``<gradient, vertex>``: one entry, ``±radius``.

    Args:
        gradient: ``[rows, entries]``; an all-zero row gets the first vertex.
    """
    check_finite(gradient)
    best = gradient.abs().argmax(-1, keepdim=True)
    side = torch.where(gradient.gather(-1, best) >= 0, -radius, radius)
    return torch.zeros_like(gradient).scatter(-1, best, side.to(gradient.dtype))
