"""The l1 penalty, the baseline that shrinks every weight at one equal rate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from netsmith.cards import card
from netsmith.penalties.selection import Select, checked_strength, selected, weights


@card(
    title="l1 penalty",
    paper="Tibshirani 1996, Regression Shrinkage and Selection via the Lasso",
    venue="J. R. Stat. Soc. B",
    differs="as a term of the loss, minimised by whatever optimiser the user has, not by coordinate descent",
)
class L1:
    """``strength * sum |w|``.

    Args:
        strength: loss units per unit of magnitude, >= 0.
        select: which parameters, weights of two or more dimensions by default.

    Raises:
        NetsmithError: ``strength`` is negative or not finite, or (when called) nothing is selected.
    """

    def __init__(self, strength: float, *, select: Select = weights) -> None:
        self.strength = checked_strength(strength)
        self.select = select

    def __call__(self, model: nn.Module) -> Tensor:
        """Return the penalty of ``model``, a scalar."""
        return self.strength * torch.stack(torch._foreach_norm(selected(model, self.select), 1)).sum()
