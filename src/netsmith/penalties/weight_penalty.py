"""What penalties on single weights share: their strength, and which tensors they take."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from netsmith.penalties.selection import Select, checked_strength, selected, weights


class WeightPenalty(ABC):
    """``strength * measure``, a sum over the selected tensors.

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
        return self.strength * self.measure(selected(model, self.select))

    @abstractmethod
    def measure(self, tensors: list[Tensor]) -> Tensor:
        """Return what is penalised, summed over tensors, a scalar."""
