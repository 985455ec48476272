"""A cost table that keeps the constant of a network before it was cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netsmith.contracts import Keep

if TYPE_CHECKING:
    from netsmith.cost.counting import CostTable
    from netsmith.graph import Operation, StructureGraph


@dataclass(frozen=True)
class FixedConstant:
    """The given table with a constant that no longer depends on the network.

    A latency table measures a constant per network; while a network is being cut, the constant of the first
    one stands for all.
    """

    table: CostTable
    value: float

    def __call__(self, graph: StructureGraph, operation: Operation, keep: Keep | None = None) -> float:
        """Return the table's cost of one operation under ``keep``."""
        return self.table(graph, operation, keep)

    def constant(self, graph: StructureGraph) -> float:
        """Return the fixed value."""
        return self.value
