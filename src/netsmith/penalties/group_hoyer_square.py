"""Group-Hoyer-Square, DeepHoyer's penalty on whole channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from netsmith.cards import card
from netsmith.penalties.channels import DIMS, ChannelNorms
from netsmith.penalties.guarded import effective_count
from netsmith.penalties.selection import Select, checked_strength, weights, widened

if TYPE_CHECKING:
    from netsmith.graph import StructureGraph


def group_hoyer_square(norms: Tensor) -> Tensor:
    """Return ``(sum_c n_c)^2 / sum_c n_c^2`` of norms >= 0, a scalar in ``[1, C]`` (0 when all are zero).

    >>> import torch
    >>> group_hoyer_square(torch.tensor([2.0, 2.0, 0.0]))
    tensor(2.)
    """
    wide = widened(norms)
    return effective_count(wide.sum(), wide.square().sum())


@card(
    title="DeepHoyer, structural (Group-Hoyer-Square)",
    paper="arXiv:1908.09979",
    venue="ICLR 2020",
    differs="with a graph, a channel's group holds everything coupled to it in all layers, not one layer's "
    "row or column, so that a channel that goes to zero can be removed; without a graph as in the paper",
)
class GroupHoyerSquare:
    """``strength * sum over groups of (sum_c n_c)^2 / sum_c n_c^2``: drives whole channels to zero.

    With a graph, ``n_c`` is the norm of all weight entries that channel c of a coupled group owns. Without
    one, each weight contributes its output channels and its input channels, as in the paper (for grouped
    convolutions trace a graph: their columns are not channels).

    Args:
        graph: from :func:`netsmith.trace`, or None.
        strength: loss units per effective channel, >= 0; 1e-5 to 1e-2 are usual.
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
        norms, group, groups = self.norms(model)
        sums = norms.new_zeros(groups).index_add(0, group, norms)
        squares = norms.new_zeros(groups).index_add(0, group, norms.square())
        return self.strength * effective_count(sums, squares).sum()
