"""The Hoyer measure, a scale-invariant stand-in for the square root of the number of non-zeros."""

from __future__ import annotations

from torch import Tensor

from netsmith.cards import card
from netsmith.penalties.guarded import effective_count, root, sums
from netsmith.penalties.selection import widened
from netsmith.penalties.weight_penalty import WeightPenalty


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
class Hoyer(WeightPenalty):
    """``strength * sum over tensors of ||w||_1 / ||w||_2``.

    Args are those of :class:`~netsmith.penalties.weight_penalty.WeightPenalty`.

    Raises:
        NetsmithError: ``strength`` is negative or not finite, or (when called) nothing is selected.
    """

    def measure(self, tensors: list[Tensor]) -> Tensor:
        """Return :func:`hoyer`, summed."""
        return root(effective_count(*sums(tensors))).sum()
