"""N:M sparsity: of every m weights in a row at most n are not zero, as sparse tensor cores want it."""

from __future__ import annotations

import torch
from torch import Tensor

from netsmith.cards import card
from netsmith.errors import NetsmithError


@card(
    title="N:M sparsity",
    paper="A. Mishra et al., 2021, arXiv:2104.08378",
    venue="",
    differs="any score instead of the magnitude; no permutation of channels beforehand",
)
def n_of_m_mask(scores: Tensor, n: int = 2, m: int = 4, *, dim: int = 1) -> Tensor:
    """Return the mask of the n highest scores of every m in a row along a dimension.

    Args:
        scores: one per weight, for example ``weight.abs()``.
        n: how many stay, from 1 to m.
        m: how many lie in a row.
        dim: along which they lie; 1 for the inputs of a linear layer.

    Returns:
        A bool tensor of the shape of the scores with exactly n of every m True; of equal ones the first.

    Raises:
        NetsmithError: a dimension that m does not divide, or n that is not between 1 and m.

    >>> n_of_m_mask(torch.tensor([[1.0, 3.0, 2.0, 0.0]]))
    tensor([[False,  True,  True, False]])
    """
    if not 1 <= n <= m:
        raise NetsmithError(f"{n}:{m} sparsity makes no sense; expected n from 1 to m")
    if scores.shape[dim] % m:
        raise NetsmithError(
            f"dimension {dim} of shape {tuple(scores.shape)} is not divisible by {m}; leave this weight out "
            f"or take {n} of another m"
        )
    rows = scores.detach().movedim(dim, -1)
    blocks = rows.reshape(*rows.shape[:-1], -1, m)
    order = torch.sort(blocks, dim=-1, descending=True, stable=True).indices[..., :n]
    mask = torch.zeros(blocks.shape, dtype=torch.bool, device=scores.device).scatter_(-1, order, True)
    return mask.reshape(rows.shape).movedim(-1, dim)


def n_of_m_bits(count: int, m: int, width: int) -> int:
    """Return the bits of ``count`` kept values of ``width`` bits that each say which of m they are.

    >>> n_of_m_bits(50, 4, 16)  # 2:4 of 100 half-precision weights
    900
    """
    return count * (width + (m - 1).bit_length())
