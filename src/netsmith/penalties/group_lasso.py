"""Group lasso, the baseline for whole channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from netsmith.cards import card
from netsmith.penalties.channels import DIMS, ChannelNorms
from netsmith.penalties.selection import Select, checked_strength, weights

if TYPE_CHECKING:
    from netsmith.graph import StructureGraph


@card(
    title="Group lasso",
    paper="Yuan and Lin 2006; arXiv:1608.03665",
    venue="J. R. Stat. Soc. B; NeurIPS 2016",
    differs="groups are not weighted by the root of their size, as in DeepHoyer's comparison",
)
class GroupLasso:
    """``strength * sum_c n_c``: shrinks the norm of every channel at one equal rate.

    The channels and their norms are those of :class:`netsmith.penalties.GroupHoyerSquare`.

    Args:
        graph: from :func:`netsmith.trace`, or None.
        strength: loss units per unit of norm, >= 0.
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
        norms, _, _ = self.norms(model)
        return self.strength * norms.sum()
