"""Group lasso, the baseline for whole channels."""

from __future__ import annotations

from torch import Tensor

from netsmith.cards import card
from netsmith.penalties.channel_penalty import ChannelPenalty


@card(
    title="Group lasso",
    paper="Yuan and Lin 2006; arXiv:1608.03665",
    venue="J. R. Stat. Soc. B; NeurIPS 2016",
    differs="groups are not weighted by the root of their size, as in DeepHoyer's comparison",
)
class GroupLasso(ChannelPenalty):
    """``strength * sum_c n_c``: shrinks the norm of every channel at one equal rate.

    Args are those of :class:`~netsmith.penalties.channel_penalty.ChannelPenalty`.

    Raises:
        NetsmithError: ``strength`` is negative or not finite, ``dims`` is unknown, or (when called) the model
            does not fit.
    """

    def measure(self, norms: Tensor, group: Tensor, groups: int) -> Tensor:
        """Return the sum of the norms."""
        return norms.sum()
