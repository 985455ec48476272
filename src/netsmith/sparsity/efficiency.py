"""What a parameter, and an operation, of a sparse network is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from netsmith.errors import NetsmithError


class Point(NamedTuple):
    """One network on a trade-off curve."""

    nonzeros: float
    """Parameters that are not zero, everything counted: biases, norms, first and last layer."""
    quality: float
    """Higher is better, for example accuracy on held-out data, a mean over seeds."""
    operations: float = math.nan
    """Multiply-accumulates of one sample, with zeros left out or not; see
    :func:`netsmith.sparsity.nonzero_macs`."""


def per_parameter(point: Point) -> float:
    """Return quality per non-zero parameter."""
    return point.quality / point.nonzeros


def per_operation(point: Point) -> float:
    """Return quality per operation, the efficiency of hardware that needs as long for each.

    Raises:
        NetsmithError: the point has no operations.
    """
    if not point.operations > 0:
        raise NetsmithError(
            f"the point has {point.operations} operations; give how many there are, above 0, when making it"
        )
    return point.quality / point.operations


def pruned_parameter_efficiency(pruned: Sequence[Point], dense: Sequence[Point]) -> list[float]:
    """Return how much better each pruned network is than a dense one of as many parameters.

    ``e(k) = q_pruned(k) - q_dense(k)``, with the quality of dense networks between those given interpolated
    over ``log k``. Positive: pruning found something that a small dense network does not have. The survey
    that asks for such a measure (T. Hoefler et al., 2021, arXiv:2102.00554) may define it differently.

    Args:
        pruned: points of the pruned networks.
        dense: points of dense networks of several sizes, trained alike.

    Returns:
        One number per pruned point, in units of quality; NaN outside of the dense sizes.

    Raises:
        NetsmithError: a point without non-zeros, or fewer than two dense sizes.

    >>> pruned_parameter_efficiency([Point(1000, 0.95)], [Point(100, 0.5), Point(10_000, 0.96)])
    [0.22]
    """
    if any(point.nonzeros <= 0 for point in (*pruned, *dense)):
        raise NetsmithError("a point has no non-zero parameter; expected above 0")
    if len({point.nonzeros for point in dense}) < 2:
        raise NetsmithError("dense networks of two sizes at least are needed to compare with")
    line = sorted(dense)
    sizes, qualities = [math.log(point.nonzeros) for point in line], [point.quality for point in line]
    wanted = [math.log(point.nonzeros) for point in pruned]
    found = np.interp(wanted, sizes, qualities, left=math.nan, right=math.nan)
    return [round(float(p.quality - q), 12) for p, q in zip(pruned, found, strict=True)]


def slopes(curve: Sequence[Point]) -> list[float]:
    """Return the quality won per doubling of the non-zeros, between neighbours of a curve.

    Raises:
        NetsmithError: a point without non-zeros, or two of the same size.

    >>> slopes([Point(100, 0.5), Point(400, 0.9), Point(800, 0.91)])
    [0.2, 0.01]
    """
    line = sorted(curve)
    if any(point.nonzeros <= 0 for point in line):
        raise NetsmithError("a point has no non-zero parameter; expected above 0")
    if len({point.nonzeros for point in line}) < len(line):
        raise NetsmithError("two points have the same number of non-zeros; average them first")
    return [
        round((more.quality - less.quality) / math.log2(more.nonzeros / less.nonzeros), 12)
        for less, more in pairwise(line)
    ]
