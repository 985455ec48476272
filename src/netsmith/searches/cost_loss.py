"""The loss that draws an expected cost into its budget."""

from __future__ import annotations

from torch import Tensor

from netsmith.cost import Budget, Cost
from netsmith.errors import BudgetError
from netsmith.graph import StructureGraph
from netsmith.searches.expected_cost import ExpectedCost


def cost_loss(expected: Tensor, actual: float, limit: float, tolerance: float = 0.05) -> Tensor:
    """Return what draws an architecture towards its limit.

    ``log E`` where the most probable network costs more than the limit, ``-log E`` where it costs less than
    ``(1 - tolerance)`` of it, else 0.

    Args:
        expected: the expected cost, which carries the gradient.
        actual: cost of the most probable network.
        limit: what it may cost.
        tolerance: how far below it may stay, as a share of the limit.

    >>> import torch
    >>> expected = torch.tensor(1.0).exp()
    >>> [round(float(cost_loss(expected, actual, limit=10.0)), 6) for actual in (11.0, 9.9, 8.0)]
    [1.0, 0.0, -1.0]
    """
    if actual > limit:
        return expected.log()
    if actual < (1 - tolerance) * limit:
        return -expected.log()
    return 0 * expected


def limits_of(graph: StructureGraph, budget: Budget, expected: ExpectedCost) -> dict[str, float]:
    """Return the limits as numbers.

    Raises:
        BudgetError: the smallest network of the search is above one of them.
    """
    now = Cost(graph).total()
    limits = budget.limits(now)
    sizes = expected.sizes
    smallest = expected.of([0] * len(sizes.widths), [0] * len(sizes.depths))
    for kind, limit in limits.items():
        if smallest[kind] > limit:
            raise BudgetError(
                f"budget {kind}={getattr(budget, kind)} cannot be reached: it is {limit:.4g} of the present "
                f"{now[kind]:.4g}, and the smallest network of this search has {smallest[kind]:.4g} "
                f"(a share of {smallest[kind] / now[kind]:.3g}); give smaller ratios"
            )
    return limits
