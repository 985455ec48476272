"""A penalty that is as strong as a budget needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from torch import nn

if TYPE_CHECKING:
    from netsmith.contracts import Clock, Keep
    from netsmith.cost import Budget
    from netsmith.graph import StructureGraph


class HasStrength(Protocol):
    """A penalty whose strength may be set."""

    strength: float


class StrengthRamp:
    """Keeps a penalty as strong as the budget needs: an ``after_step`` callable for the sparse training.

    Compares what the channels that stay cost with a target that falls linearly from the dense cost to the
    budget during the first ``ARRIVAL`` of the run. Above the target the strength is multiplied by ``UP``,
    else by ``DOWN`` (not below a hundredth of where it began), ``CHECKS`` times in all. It falls faster than
    it grows because a channel that is leaving goes on leaving.

    Args:
        penalty: whose strength is set.
        graph: the structure graph of the model that trains.
        budget: what the channels that stay may cost in the end.
        stays: ``model -> keep``: which channels would stay as things are, at least one of a group.
    """

    ARRIVAL = 0.75
    CHECKS = 60
    UP = 1.3
    DOWN = 0.4

    def __init__(
        self,
        penalty: HasStrength,
        graph: StructureGraph,
        budget: Budget,
        stays: Callable[[nn.Module], Keep],
    ) -> None:
        from netsmith.cost import Cost
        from netsmith.cutting.budgeting import cost_tables

        self.penalty = penalty
        self.stays = stays
        self.measure = Cost(graph, **cost_tables(budget)).meter(set(budget.kinds))
        dense = self.measure({})
        self.limits = budget.limits(dense)
        self.dense = self._excess(dense)
        self.least = penalty.strength / 100
        self.checks = 0

    def excess(self, model: nn.Module) -> float:
        """Return what the channels that stay cost, as a multiple of the budget."""
        return self._excess(self.measure(self.stays(model)))

    def __call__(self, model: nn.Module, clock: Clock) -> None:
        """Adapt the strength when it is time for a check."""
        due = int(clock.progress * self.CHECKS)
        if due > self.checks:
            self.checks = due
            target = max(1.0, self.dense + (1.0 - self.dense) * clock.progress / self.ARRIVAL)
            factor = self.UP if self.excess(model) > target else self.DOWN
            self.penalty.strength = max(self.least, self.penalty.strength * factor)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"strength": self.penalty.strength, "checks": self.checks}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of :meth:`state_dict`."""
        self.penalty.strength, self.checks = state["strength"], state["checks"]

    def _excess(self, cost: Mapping[str, float]) -> float:
        return max(cost[kind] / limit for kind, limit in self.limits.items())
