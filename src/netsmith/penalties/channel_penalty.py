"""What penalties on whole channels share: their strength, and how channels are grouped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from netsmith.penalties.channels import DIMS, ChannelNorms
from netsmith.penalties.selection import Select, checked_strength, weights

if TYPE_CHECKING:
    from netsmith.graph import StructureGraph


class ChannelPenalty(ABC):
    """``strength * measure`` of the norms of all channels.

    With a graph, a channel's norm is that of all weight entries it owns. Without one, each weight contributes
    its output channels and its input channels (for grouped convolutions trace a graph: their columns are not
    channels).

    Args:
        graph: from :func:`netsmith.trace`, or None.
        strength: loss units per unit of the measure, >= 0.
        dims: without a graph, which of ``"out"`` and ``"in"`` to group by.
        select: which parameters, weights of two or more dimensions by default.

    Raises:
        NetsmithError: ``strength`` is negative or not finite, ``dims`` is unknown, or (when called) nothing
            is selected, a selected tensor has one dimension, or the model is not the one that was traced.
    """

    def __init__(
        self,
        graph: StructureGraph | None = None,
        *,
        strength: float,
        dims: Sequence[str] = DIMS,
        select: Select = weights,
    ) -> None:
        self.strength = checked_strength(strength)
        self.norms = ChannelNorms(graph, dims=dims, select=select)

    def __call__(self, model: nn.Module) -> Tensor:
        """Return the penalty of ``model``, a scalar."""
        return self.strength * self.measure(*self.norms(model))

    @abstractmethod
    def measure(self, norms: Tensor, group: Tensor, groups: int) -> Tensor:
        """Return what is penalised of ``(norms [C], the group of each [C], how many groups)``, a scalar."""
