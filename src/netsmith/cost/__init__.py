"""Cost: what a model and each part of it costs, and the budget it must keep."""

from netsmith.cost.budget import Budget
from netsmith.cost.counting import Cost
from netsmith.cost.energy import EnergyTable
from netsmith.cost.latency import LatencyTable

__all__ = ["Budget", "Cost", "EnergyTable", "LatencyTable"]
