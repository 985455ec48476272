"""Cost: what a model and each part of it costs, and the budget it must keep."""

from netsmith.cost.budget import Budget
from netsmith.cost.counting import Cost

__all__ = ["Budget", "Cost"]
