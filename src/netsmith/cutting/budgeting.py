"""From a budget to the smallest cut that keeps it, with the tables that measured budgets need."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from torch import nn

from netsmith.contracts import Inputs, Keep
from netsmith.cost.budget import Budget
from netsmith.cost.counting import Cost, CostTable
from netsmith.cutting.depth import Cut, meter_of
from netsmith.errors import BudgetError, SpeedWarning
from netsmith.graph import StructureGraph


def cut_for(
    graph: StructureGraph,
    budget: Budget,
    choose: Callable[[int], Cut],
    steps: int,
    latency: CostTable | None = None,
    energy: CostTable | None = None,
) -> Cut:
    """Return ``choose(n)`` for the smallest n in [0, steps] at which the budget holds, found by bisection.

    Raises:
        BudgetError: the budget does not hold even for ``choose(steps)``; says what can be reached.
    """
    tables = cost_tables(budget, latency, energy)
    measure = meter_of(Cost(graph, **tables), set(budget.kinds))
    now = measure(Cut({}))
    limits = budget.limits(now)
    smallest = measure(choose(steps))
    for kind, limit in limits.items():
        if smallest[kind] > limit:
            raise BudgetError(
                f"budget {kind}={getattr(budget, kind)} cannot be reached: it is {limit:.4g} of the present "
                f"{now[kind]:.4g}, and the smallest cut has {smallest[kind]:.4g} "
                f"(a share of {smallest[kind] / now[kind]:.3g})"
            )
    low, high = 0, steps
    while low < high:
        middle = (low + high) // 2
        if budget.holds(measure(choose(middle)), now):
            high = middle
        else:
            low = middle + 1
    return choose(low)


def cost_tables(
    budget: Budget, latency: CostTable | None = None, energy: CostTable | None = None
) -> dict[str, CostTable]:
    """Return the tables a budget needs; those not given are the measured and the built-in one."""
    tables: dict[str, CostTable] = {}
    if budget.latency is not None:
        from netsmith.cost.latency import LatencyTable

        tables["latency"] = latency if latency is not None else LatencyTable()
    if budget.energy is not None:
        from netsmith.cost.energy import EnergyTable

        tables["energy"] = energy if energy is not None else EnergyTable()
    return tables


def measured_table(graph: StructureGraph, model: nn.Module, inputs: Inputs, *, whole: bool) -> CostTable:
    """Return this machine's latency table, if asked for with what the whole model takes beyond its parts."""
    from netsmith.cost.latency import LatencyTable

    table = LatencyTable()
    if whole and not any(parameter.is_meta for parameter in model.parameters()):
        table.calibrate(graph, model, inputs)
    return table


def liked_multiples(graph: StructureGraph, latency: CostTable | None) -> dict[str, int]:
    """Return, per group, the multiple of channels that a measured table likes."""
    from netsmith.cost.latency import LatencyTable
    from netsmith.cost.widths import preferred_multiples

    return preferred_multiples(graph, latency if isinstance(latency, LatencyTable) else LatencyTable())


def warn_if_not_faster(graph: StructureGraph, keep: Keep, latency: CostTable) -> None:
    """Warn when a cut saves MACs that the latency table does not see as time."""
    from netsmith.cost.widths import explain

    cost = Cost(graph, latency=latency)
    message = explain(cost.total(), cost.total(keep))
    if message is not None:
        warnings.warn(message, SpeedWarning, stacklevel=3)
