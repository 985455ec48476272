"""Optimal brain surgeon: remove weights and let the others make up for them."""

from __future__ import annotations

import torch
from torch import Tensor

from netsmith.cards import card
from netsmith.errors import NetsmithError


@card(
    title="Optimal brain surgeon",
    paper="B. Hassibi, D. Stork, 1992",
    venue="NIPS 1992",
    differs="for the weights of one layer or block, whose Hessian is given; weights go one by one, greedily",
)
def optimal_brain_surgeon(
    weights: Tensor, hessian: Tensor, count: int, *, damping: float = 0.0
) -> tuple[Tensor, float]:
    r"""Remove the cheapest weights one by one, each time moving the others to where they serve best.

    Removing w_q costs :math:`w_q^2 / (2 [H^{-1}]_{qq})` and moves the others by
    :math:`-w_q / [H^{-1}]_{qq} \, H^{-1} e_q`; then q leaves the Hessian.

    Args:
        weights: ``[n]``, at a minimum of the loss.
        hessian: ``[n, n]``, symmetric; of a linear layer ``X Xᵀ`` of its inputs, the same for every output.
        count: how many to remove, from 0 to n.
        damping: added to the Hessian's diagonal, as a share of its mean.

    Returns:
        The new weights, with ``count`` exact zeros, and the increase of the quadratic loss.

    Raises:
        NetsmithError: shapes that do not fit, a count out of range, or a Hessian that is not positive
            definite.

    >>> left, increase = optimal_brain_surgeon(torch.tensor([1.0, 2.0]), torch.eye(2), 1)
    >>> left.tolist(), increase
    ([0.0, 2.0], 0.5)
    """
    size = weights.numel()
    if tuple(weights.shape) != (size,) or tuple(hessian.shape) != (size, size):
        raise NetsmithError(
            f"weights {tuple(weights.shape)} and Hessian {tuple(hessian.shape)} do not fit; "
            "expected [n] and [n, n]"
        )
    if not 0 <= count <= size:
        raise NetsmithError(f"count is {count}; expected from 0 to the {size} weights there are")
    left = weights.detach().double().clone()
    inverse = _inverse(hessian.detach().double(), damping)
    alive = torch.ones(size, dtype=torch.bool, device=left.device)
    increase = 0.0
    for _ in range(count):
        costs = torch.where(alive, left.square() / (2 * inverse.diagonal()), torch.inf)
        one = int(costs.argmin())
        increase += float(costs[one])
        column = inverse[:, one] / inverse[one, one]
        left -= left[one] * column
        inverse = inverse - torch.outer(column, inverse[one])
        alive[one] = False
        left[~alive] = 0.0
        # What is gone stays in the tables as an index that nothing couples with.
        inverse[one, one] = 1.0
    return left.to(weights.dtype), increase


def _inverse(hessian: Tensor, damping: float) -> Tensor:
    hessian = hessian + damping * hessian.diagonal().mean() * torch.eye(len(hessian), device=hessian.device)
    factor, failed = torch.linalg.cholesky_ex(hessian)
    scale = hessian.diagonal().abs().max()
    if bool(failed) or float(factor.diagonal().min()) ** 2 <= len(hessian) * 1e-15 * float(scale):
        raise NetsmithError("the Hessian is singular or not positive definite; give damping, such as 0.01")
    return torch.cholesky_inverse(factor)
