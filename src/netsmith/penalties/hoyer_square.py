"""Hoyer-Square, DeepHoyer's differentiable stand-in for the number of non-zeros."""

from __future__ import annotations

from torch import Tensor

from netsmith.cards import card
from netsmith.penalties.guarded import effective_count, sums
from netsmith.penalties.selection import widened
from netsmith.penalties.weight_penalty import WeightPenalty


def hoyer_square(tensor: Tensor) -> Tensor:
    """Return ``(sum |w|)^2 / sum w^2``, a scalar in ``[1, N]`` (0 for an all-zero tensor).

    It does not change with the scale of ``w`` and equals the number of non-zeros when these have one
    magnitude. Its gradient ``2 sign(w) ||w||_1 / ||w||_2^4 (||w||_2^2 - |w| ||w||_1)`` shrinks the entries
    below the threshold ``||w||_2^2 / ||w||_1`` and grows those above.

    >>> import torch
    >>> hoyer_square(torch.tensor([3.0, 0.0, -3.0, 3.0, 3.0]))
    tensor(4.)
    """
    wide = widened(tensor)
    return effective_count(wide.abs().sum(), wide.square().sum())


@card(
    title="DeepHoyer, element-wise (Hoyer-Square)",
    paper="arXiv:1908.09979",
    venue="ICLR 2020",
    differs="weights only by default: the reference script also takes biases and the scales of norms",
)
class HoyerSquare(WeightPenalty):
    """``strength * sum over tensors of (sum |w|)^2 / sum w^2``: drives single weights to zero.

    The sum is not weighted: a tensor of N entries contributes up to N, so ``strength`` is in loss units per
    effective non-zero; 1e-6 to 1e-3 are usual. Train without weight decay, which only shrinks the norm and so
    makes the penalty ever stronger.

    Args are those of :class:`~netsmith.penalties.weight_penalty.WeightPenalty`.

    Raises:
        NetsmithError: ``strength`` is negative or not finite, or (when called) nothing is selected.
    """

    def measure(self, tensors: list[Tensor]) -> Tensor:
        """Return :func:`hoyer_square`, summed."""
        return effective_count(*sums(tensors)).sum()
