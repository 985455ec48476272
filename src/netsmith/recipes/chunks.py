"""The way to a budget in chunks: how many, and the limits on the way as budgets."""

from __future__ import annotations

import math
from collections.abc import Mapping

from netsmith.cost.budget import Budget
from netsmith.errors import BudgetError

LAST = 0.1
"""The last chunk takes what is left when this share of the first excess, or less, remains."""


def chunks_of(chunk: float) -> int:
    """Return how many chunks there are when each removes the share ``chunk`` of the remaining excess.

    Raises:
        BudgetError: ``chunk`` is not in (0, 1].

    >>> chunks_of(0.2), chunks_of(1.0)
    (12, 1)
    """
    if not 0 < chunk <= 1:
        raise BudgetError(f"chunk={chunk} must be a share of the remaining excess, above 0 and at most 1")
    return 1 if chunk == 1 else math.ceil(math.log(LAST) / math.log(1 - chunk)) + 1


def absolute(limits: Mapping[str, float]) -> Budget:
    """Return a budget of absolute limits, in the units the budget reads."""
    units = {"macs": "k", "params": "k", "bytes": "kB", "latency": "s", "energy": "J"}
    scale = {"k": 1e3, "kB": 1e3}
    return Budget(
        **{kind: f"{limit / scale.get(units[kind], 1.0)!r}{units[kind]}" for kind, limit in limits.items()}
    )
