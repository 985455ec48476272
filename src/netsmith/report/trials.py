"""The numbers behind a comparison: trials gathered by method and budget, and who beats whom."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netsmith.report.quantities import ACCURACY, COSTS, Quantity
from netsmith.report.units import number

CONTROLS = {
    "random": "removing channels at random",
    "scratch": "a narrower network trained from scratch",
}
"""Methods that every other one has to beat, and what they do."""


@dataclass(frozen=True)
class Spread:
    """Mean over seeds and sample standard deviation (None for a single seed)."""

    mean: float
    deviation: float | None


@dataclass(frozen=True)
class Cell:
    """All the trials of one method at one budget."""

    method: str
    budget: str
    seeds: int
    accuracy: Spread | None
    costs: Mapping[str, Spread]
    """By key of ``after``, for what was measured."""
    seconds: Spread | None


def spread(values: Sequence[float | None]) -> Spread | None:
    """Return mean and sample standard deviation of what was measured, or None.

    >>> spread([1.0, 3.0, None])
    Spread(mean=2.0, deviation=1.4142135623730951)
    """
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None)


def budget_text(budget: Any) -> str:
    """Return a budget as it is written on the command line: ``macs=0.3,latency=5ms``."""
    if isinstance(budget, Mapping):
        return ",".join(f"{key}={value}" for key, value in budget.items() if value is not None)
    return str(budget)


def cells(rows: Sequence[Mapping[str, Any]]) -> list[Cell]:
    """Return the trials gathered by method and budget, in the order they first appear."""
    gathered: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        gathered.setdefault((str(row.get("method")), budget_text(row.get("budget"))), []).append(row)
    return [_cell(method, budget, trials) for (method, budget), trials in gathered.items()]


def _cell(method: str, budget: str, trials: Sequence[Mapping[str, Any]]) -> Cell:
    after = [trial.get("after") for trial in trials]
    costs = {quantity.key: spread([quantity.of(measured) for measured in after]) for quantity in COSTS}
    return Cell(
        method,
        budget,
        len({str(trial.get("seed")) for trial in trials}),
        spread([ACCURACY.of(measured) for measured in after]),
        {key: value for key, value in costs.items() if value is not None},
        spread([number(trial.get("seconds")) for trial in trials]),
    )


def dense(rows: Sequence[Mapping[str, Any]], quantity: Quantity) -> Spread | None:
    """Return a quantity of the networks before compression: one value for each seed."""
    by_seed = {str(row.get("seed")): quantity.of(row.get("before")) for row in rows}
    return spread(list(by_seed.values()))


def budgets(groups: Sequence[Cell]) -> list[str]:
    """Return the budgets in the order they first appear."""
    return list(dict.fromkeys(cell.budget for cell in groups))


def best_in_budget(groups: Sequence[Cell], budget: str) -> Cell | None:
    """Return the most accurate cell of a budget, or None when none was measured."""
    measured = [cell for cell in groups if cell.budget == budget and cell.accuracy is not None]
    return max(measured, key=lambda cell: cell.accuracy.mean if cell.accuracy else -math.inf, default=None)


def not_above(groups: Sequence[Cell], control: str) -> list[Cell]:
    """Return the cells of other methods no more accurate, on average, than ``control`` at the budget."""
    reached = {cell.budget: cell.accuracy.mean for cell in groups if cell.method == control and cell.accuracy}
    return [
        cell
        for cell in groups
        if cell.method not in CONTROLS
        and cell.accuracy
        and cell.accuracy.mean <= reached.get(cell.budget, -math.inf)
    ]


def below_controls(groups: Sequence[Cell]) -> list[str]:
    """Return a sentence for each method and budget at which a control is as accurate."""
    return [
        f"{cell.method} at {cell.budget} is not more accurate than {what}."
        for control, what in CONTROLS.items()
        for cell in not_above(groups, control)
    ]


def on_front(groups: Sequence[Cell], quantities: Sequence[Quantity]) -> list[list[Quantity]]:
    """Return for each cell the costs at which none is as cheap and as accurate, and better in one."""
    found: list[list[Quantity]] = [[] for _ in groups]
    for quantity in quantities:
        places = [
            (cell.costs[quantity.key].mean, cell.accuracy.mean)
            if cell.accuracy and quantity.key in cell.costs
            else None
            for cell in groups
        ]
        front = set(pareto_front([place for place in places if place is not None]))
        for quantities_of_cell, place in zip(found, places, strict=True):
            if place in front:
                quantities_of_cell.append(quantity)
    return found


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the (cost, accuracy) pairs that no other pair beats in both, cheapest first.

    >>> pareto_front([(3, 0.9), (1, 0.8), (2, 0.7), (2, 0.9)])
    [(1, 0.8), (2, 0.9)]
    """
    front: list[tuple[float, float]] = []
    for cost, accuracy in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not front or accuracy > front[-1][1]:
            front.append((cost, accuracy))
    return front
