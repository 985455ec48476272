"""Levels of participation and their weights: how an integral over q from 0 to 1 becomes a sum."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from netsmith.errors import NetsmithError, UnknownNameError

Levels = Literal["stratified", "uniform", "grid", "trapezoid", "midpoint", "gauss"]
RANDOM = ("stratified", "uniform")
FIXED = ("grid", "trapezoid", "midpoint", "gauss")


def quadrature(levels: Levels, count: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    r"""Return levels q and their weights, both ``[count]``, for an integral over [0, 1].

    ``"stratified"`` draws one level in each of ``count`` equal strata and ``"uniform"`` all of them anywhere:
    unbiased. All but uniform ones come in ascending order. ``"grid"`` is the plain mean over 0, 1/Q, ..., 1
    (the original algorithm), off by O(1/Q); ``"trapezoid"`` and ``"midpoint"`` are off by O(1/Q²);
    ``"gauss"`` is exact for polynomials of degree below ``2 count``.

    Args:
        levels: the rule.
        count: how many levels; at least 2 for a grid, whose Q is one less.
        generator: source of the random levels; default a fresh one seeded with 0.

    Raises:
        NetsmithError: too few levels.
        UnknownNameError: no rule of that name.

    >>> quadrature("trapezoid", 3)[1].tolist()
    [0.25, 0.5, 0.25]
    """
    if levels not in RANDOM + FIXED:
        raise UnknownNameError("rule for levels", levels, RANDOM + FIXED)
    least = 2 if levels in ("grid", "trapezoid") else 1
    if count < least:
        raise NetsmithError(f"{count} levels of rule {levels!r}; it needs at least {least}")
    equal = torch.full((count,), 1 / count, dtype=torch.float64)
    steps = torch.arange(count, dtype=torch.float64)
    if levels in RANDOM:
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        drawn = torch.rand(count, generator=generator, dtype=torch.float64)
        return ((steps + drawn) / count if levels == "stratified" else drawn), equal
    if levels == "gauss":
        nodes, weights = (torch.from_numpy(array) for array in np.polynomial.legendre.leggauss(count))
        return (nodes + 1) / 2, weights / 2
    if levels == "midpoint":
        return (steps + 0.5) / count, equal
    if levels == "trapezoid":
        equal = torch.full((count,), 1 / (count - 1), dtype=torch.float64)
        equal[[0, -1]] /= 2
    return steps / (count - 1), equal
