"""Budgets of networks in which single weights are zero: the parameters that are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from netsmith.errors import BudgetError
from netsmith.scores.elements import weights_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from netsmith.cost import Budget
    from netsmith.recipes.job import Job


def density_for(model: nn.Module, budget: Budget, method: str) -> float:
    """Return the share of a model's weights that may stay for a budget of ``params``, in (0, 1].

    Biases, norms and all else that is no weight of two or more dimensions stay, and count.

    Raises:
        BudgetError: a budget that leaves no weight.
    """
    total = sum(parameter.numel() for parameter in model.parameters())
    weights = sum(weight.numel() for weight in weights_of(model).values())
    left = budget.limits({"params": total})["params"] - (total - weights)
    if left < 1:
        raise BudgetError(
            f"{method} cannot reach the budget: {total - weights} of {total} parameters are biases and "
            "norms, which stay; give a larger params"
        )
    # Rounded down: a density is rounded to whole weights later.
    return min(int(left), weights) / weights


def nonzeros(model: nn.Module) -> int:
    """Return how many parameters of a model are not zero."""
    return sum(int((parameter != 0).sum()) for parameter in model.parameters())


def note_nonzeros(job: Job, method: str, masks: Mapping[str, Tensor]) -> None:
    """Say in the notes how many parameters of the job's model are not zero, and the density per layer."""
    nonzero = nonzeros(job.model)
    total = sum(parameter.numel() for parameter in job.model.parameters())
    layers = {name: int(mask.sum()) / mask.numel() for name, mask in masks.items()}
    job.notes[method] = {"nonzero_parameters": nonzero, "parameters": total, "density": layers}
    job.log(f"{nonzero} of {total} parameters are not zero")
