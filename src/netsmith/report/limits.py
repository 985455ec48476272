"""Did the result keep what was asked? One line per part of the budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from netsmith.cost.budget import Budget
from netsmith.report.quantities import COSTS, Quantity
from netsmith.report.units import SPACE, brief, percent, ratio


@dataclass(frozen=True)
class Limit:
    """One part of the budget beside what came out."""

    quantity: Quantity
    asked: str
    """The limit for people: ``30 %`` or ``200 kB``."""
    reached: str
    """What came out, in the same unit as ``asked``."""
    fraction: float | None
    """The limit as a share of the original, where it is known."""
    absolute: float | None
    """The limit in base units, where it is known."""
    holds: bool | None
    """None where the quantity was not measured."""


def limits(result: Mapping[str, Any]) -> list[Limit]:
    """Return the parts of ``result["budget"]``, in the order of the quantities.

    Raises:
        BudgetError: an amount that no :class:`netsmith.cost.Budget` would take.
    """
    budget = result.get("budget") or {}
    asked = {quantity: budget.get(quantity.budget) for quantity in COSTS}
    return [_limit(quantity, amount, result) for quantity, amount in asked.items() if amount is not None]


def _limit(quantity: Quantity, amount: Any, result: Mapping[str, Any]) -> Limit:
    before, after = quantity.of(result.get("before")), quantity.of(result.get("after"))
    budget = Budget(**{quantity.budget: amount})
    if budget.is_relative:
        fraction = budget.limits({quantity.budget: 1.0})[quantity.budget]
        absolute = None if before is None else fraction * before
        asked, reached = f"{100 * fraction:.4g}{SPACE}%", _reached(ratio(before, after), fraction)
        return Limit(quantity, asked, reached, fraction, absolute, _holds(after, absolute))
    absolute = budget.limits({})[quantity.budget]
    asked, reached = brief(quantity.written(absolute)), quantity.written(after)
    return Limit(quantity, asked, reached, ratio(before, absolute), absolute, _holds(after, absolute))


def _holds(value: float | None, limit: float | None) -> bool | None:
    # A budget that was met exactly must not fail on the last bit of a float.
    return None if value is None or limit is None else value <= limit * (1 + 1e-9)


def _reached(share: float | None, limit: float) -> str:
    """Write a share with as many digits as it takes to see on which side of the limit it lies."""
    digits = 1
    while share is not None and share > limit and digits < 5:
        if round(100 * share, digits) > 100 * limit:
            break
        digits += 1
    return percent(share, digits)
