"""The l1 penalty, the baseline that shrinks every weight at one equal rate."""

from __future__ import annotations

import torch
from torch import Tensor

from netsmith.cards import card
from netsmith.penalties.weight_penalty import WeightPenalty


@card(
    title="l1 penalty",
    paper="Tibshirani 1996, Regression Shrinkage and Selection via the Lasso",
    venue="J. R. Stat. Soc. B",
    differs="as a term of the loss, minimised by whatever optimiser the user has, not by coordinate descent",
)
class L1(WeightPenalty):
    """``strength * sum |w|``.

    Args are those of :class:`~netsmith.penalties.weight_penalty.WeightPenalty`.

    Raises:
        NetsmithError: ``strength`` is negative or not finite, or (when called) nothing is selected.
    """

    def measure(self, tensors: list[Tensor]) -> Tensor:
        """Return ``sum |w|``."""
        return torch.stack(torch._foreach_norm(tensors, 1)).sum()
