"""The scaled sigmoid: a smooth gate that becomes a step while its slope grows."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from netsmith.cards import card
from netsmith.errors import NetsmithError


def scaled_sigmoid(logits: Tensor, delta: Tensor | float) -> Tensor:
    r"""Return :math:`\sigma(\delta s)`, which tends to 1 where s > 0 and to 0 where s < 0 as delta grows.

    >>> scaled_sigmoid(torch.tensor([-0.1, 0.0, 0.1]), 1e4)
    tensor([0.0000, 0.5000, 1.0000])
    """
    return torch.sigmoid(delta * logits)


HARD = 1e4
"""A logit at which a gate is exactly 0 or 1 at every slope from 1 up, with gradient 0."""


@card(
    title="DNAL: scaled sigmoid gates",
    paper="Q. Guo, X.-J. Wu, J. Kittler, Z. Feng, 2022, arXiv:2103.02126",
    venue="Pattern Recognition 126",
    differs=(
        "delta grows on a given number of levels of equal length instead of once per epoch (the same with as "
        "many levels as epochs)"
    ),
)
class ScaledSigmoid(nn.Module):
    r"""Gates :math:`\sigma(\delta s)`, ``[size]``, all half open at first; s is learnt, delta is annealed.

    Calling it returns the gates. While delta is small the gradient is that of a smooth function; at the end
    of the anneal every gate with s clearly off zero is 0 or 1 to many digits.

    Args:
        size: how many channels.
        delta: the slope before the first and at the last level of the anneal.
        levels: how many times delta is multiplied, by the same factor, on the way.

    Raises:
        NetsmithError: no channel, a delta that is not positive and growing, or no level.

    Example:
        >>> gate = ScaledSigmoid(3)
        >>> gate()
        tensor([0.5000, 0.5000, 0.5000], grad_fn=<SigmoidBackward0>)
    """

    delta: Tensor

    def __init__(self, size: int, *, delta: tuple[float, float] = (1.0, 1e4), levels: int = 10) -> None:
        super().__init__()
        start, end = delta
        if size < 1 or levels < 1:
            raise NetsmithError(f"size={size} and levels={levels} of a gate must both be at least 1")
        if not 0 < start < end < math.inf:
            raise NetsmithError(
                f"delta={delta} must grow from a positive number to a finite one, as (1, 10000) does"
            )
        self.slopes = (float(start), float(end))
        self.levels = levels
        self.logits = nn.Parameter(torch.zeros(size))
        self.register_buffer("delta", torch.tensor(self._slope(1)))

    def forward(self) -> Tensor:
        """Return the gates, ``[size]`` in (0, 1)."""
        return scaled_sigmoid(self.logits, self.delta)

    def measure(self) -> Tensor:
        r"""Return :math:`\sum \sigma(s)`, a smooth count of the open gates to penalise, a scalar.

        The slope stays out of it: with it the gradient would vanish as that of the gates does.
        """
        return torch.sigmoid(self.logits).sum()

    def anneal(self, progress: float) -> bool:
        """Set the slope for a share of the run from 0 to 1; return whether it changed.

        The momentum of an optimiser is scaled for the old slope then: drop it.
        """
        level = min(int(progress * self.levels) + 1, self.levels)
        slope = self.delta.new_tensor(self._slope(level))
        if torch.equal(slope, self.delta):
            return False
        self.delta.copy_(slope)
        return True

    def harden(self, stay: Tensor) -> None:
        """Make the gates a mask, ``[size]`` bool: exactly 1 where ``stay``, 0 elsewhere, learning no more."""
        with torch.no_grad():
            self.logits.copy_(torch.where(stay, HARD, -HARD) / self.delta.clamp(max=1))

    def _slope(self, level: int) -> float:
        start, end = self.slopes
        return float(start * (end / start) ** (level / self.levels))
