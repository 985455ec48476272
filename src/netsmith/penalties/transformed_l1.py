"""The transformed l1 penalty, between the number of non-zeros and l1."""

from __future__ import annotations

import torch
from torch import Tensor

from netsmith.cards import card
from netsmith.penalties.selection import widened
from netsmith.penalties.weight_penalty import WeightPenalty


def transformed_l1(tensor: Tensor) -> Tensor:
    """Return ``sum 2 |w| / (1 + |w|)``, a scalar in ``[0, 2 N)``.

    >>> import torch
    >>> transformed_l1(torch.tensor([1.0, 0.0, -3.0]))
    tensor(2.5000)
    """
    magnitude = widened(tensor).abs()
    return (2 * magnitude / (1 + magnitude)).sum()


@card(
    title="Transformed l1 penalty",
    paper="arXiv:1901.01021",
    venue="Neural Networks 2019",
    differs="element-wise only, with the shape parameter a = 1 as in DeepHoyer's comparison",
)
class TransformedL1(WeightPenalty):
    """``strength * sum 2 |w| / (1 + |w|)``: large weights are hardly pulled, small ones as by l1.

    Args are those of :class:`~netsmith.penalties.weight_penalty.WeightPenalty`.

    Raises:
        NetsmithError: ``strength`` is negative or not finite, or (when called) nothing is selected.
    """

    def measure(self, tensors: list[Tensor]) -> Tensor:
        """Return :func:`transformed_l1`, summed."""
        return torch.stack([transformed_l1(tensor) for tensor in tensors]).sum()
