"""The Hoyer measure, a scale-invariant stand-in for the square root of the number of non-zeros."""

from __future__ import annotations

from torch import Tensor, nn

from netsmith.cards import card
from netsmith.penalties.guarded import effective_count, root, sums
from netsmith.penalties.selection import Select, checked_strength, selected, weights, widened


def hoyer(tensor: Tensor) -> Tensor:
    """Return ``||w||_1 / ||w||_2``, a scalar in ``[1, sqrt(N)]`` (0 for an all-zero tensor).

    >>> import torch
    >>> hoyer(torch.tensor([3.0, 0.0, -3.0, 3.0, 3.0]))
    tensor(2.)
    """
    wide = widened(tensor)
    return root(effective_count(wide.abs().sum(), wide.square().sum()))


@card(
    title="Hoyer penalty",
    paper="Hoyer 2004, Non-negative Matrix Factorization with Sparseness Constraints",
    venue="JMLR 2004",
    differs="the ratio of norms itself is penalised, as in DeepHoyer's comparison, not his sparseness",
)
class Hoyer:
    """``strength * sum over tensors of ||w||_1 / ||w||_2``.

    Args:
        strength: loss units per unit of the measure, >= 0.
        select: which parameters, weights of two or more dimensions by default.

    Raises:
        NetsmithError: ``strength`` is negative or not finite, or (when called) nothing is selected.
    """

    def __init__(self, strength: float, *, select: Select = weights) -> None:
        self.strength = checked_strength(strength)
        self.select = select

    def __call__(self, model: nn.Module) -> Tensor:
        """Return the penalty of ``model``, a scalar."""
        return self.strength * root(effective_count(*sums(selected(model, self.select)))).sum()
