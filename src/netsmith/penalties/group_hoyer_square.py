"""Group-Hoyer-Square, DeepHoyer's penalty on whole channels."""

from __future__ import annotations

from torch import Tensor

from netsmith.cards import card
from netsmith.penalties.channel_penalty import ChannelPenalty
from netsmith.penalties.guarded import effective_count
from netsmith.penalties.selection import widened


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
class GroupHoyerSquare(ChannelPenalty):
    """``strength * sum over groups of (sum_c n_c)^2 / sum_c n_c^2``: drives whole channels to zero.

    With a graph, ``n_c`` is the norm of all weight entries that channel c of a coupled group owns; without
    one, the groups are the rows and the columns of each weight, as in the paper. ``strength`` is in loss
    units per effective channel; 1e-5 to 1e-2 are usual.

    Args are those of :class:`~netsmith.penalties.channel_penalty.ChannelPenalty`.

    Raises:
        NetsmithError: ``strength`` is negative or not finite, ``dims`` is unknown, or (when called) the model
            does not fit.
    """

    def measure(self, norms: Tensor, group: Tensor, groups: int) -> Tensor:
        """Return :func:`group_hoyer_square` of each group, summed."""
        ones = norms.new_zeros(groups).index_add(0, group, norms)
        squares = norms.new_zeros(groups).index_add(0, group, norms.square())
        return effective_count(ones, squares).sum()
