"""The structured l1,1 map: whole groups become zero, and single entries inside the surviving ones too."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from netsmith.cards import card
from netsmith.projections.ball import GroupBall
from netsmith.projections.folds import unfold_weight
from netsmith.projections.numerics import (
    as_groups,
    as_rows,
    from_groups,
    merge,
    towards_zero,
    within,
)
from netsmith.projections.simplex import shrink_to_sum, sparse_vertex


def l11_bilevel(tensor: Tensor, radius: float, *, dim: int, batch_dims: int = 0) -> Tensor:
    """Map into ``{x : Σ|x| <= radius}`` by group: the groups share out the radius, then each is projected.

    ``c_j = ‖v_j‖₁``, ``c'`` the projection of ``c`` on the l1 ball, ``x_j`` the projection of ``v_j`` on the
    l1 ball of radius ``c'_j``. The result is in the ball, and mapping it again changes nothing; but it is
    *not* the nearest point of the ball (that is the soft threshold of :func:`l1_ball`): it is farther away
    and has more zero groups.

    Args:
        tensor: any shape; each index of the first ``batch_dims`` dimensions is mapped on its own.
        radius: largest l1 norm allowed, >= 0; 0 gives all zeros.
        dim: the dimension that numbers the groups; a group holds everything else. In a linear weight ``[out,
            in]``, ``dim=1`` groups by input feature (columns), ``dim=0`` by neuron (rows).

    Returns:
        A new tensor of the same shape, dtype and device, with the same values where the norm is within the
        radius. Differentiable by autograd.

    Raises:
        NetsmithError: radius negative or not finite; NaN or infinite entries; ``dim`` not a dimension after
            the batch; not a floating-point tensor.

    >>> l11_bilevel(torch.tensor([[3.0, 0.5], [1.0, 1.0]]), 2.0, dim=1)
    tensor([[2., 0.],
            [0., 0.]])
    """
    groups = as_groups(tensor, dim, batch_dims)
    magnitude = groups.abs()
    sums = magnitude.sum(-1)
    inside = within(sums.sum(-1), radius)
    if bool(inside.all()):
        return tensor.clone()
    share = shrink_to_sum(sums, sums.new_full(inside.shape, radius)).flatten()
    alive = share > 0
    kept = torch.zeros_like(magnitude).flatten(0, 1)
    kept[alive] = shrink_to_sum(magnitude.flatten(0, 1)[alive], share[alive])
    signed = torch.copysign(kept.reshape(groups.shape), groups)
    projected = from_groups(towards_zero(signed, tensor.dtype), tensor, dim, batch_dims)
    return merge(projected, tensor, inside, batch_dims)


@card(
    "Structured l1,1 projection",
    paper="Barlaud, Guyard 2020",
    venue="ICPR 2020",
    differs="not the nearest point of the l1 ball: two nested l1 projections, as in the authors' public code",
)
class L11Ball(GroupBall):
    """Weights with ``‖W‖₁,₁ <= radius``: zero groups and zeros inside the others, see :func:`l11_bilevel`.

    Arguments are those of :class:`~netsmith.projections.ball.GroupBall`.
    """

    nearest: ClassVar[bool] = False

    def __call__(self, tensor: Tensor) -> Tensor:
        """Return a weight in the ball, with whole groups zero; not the nearest one."""
        matrix, dim, batch_dims = self.folded(tensor)
        return unfold_weight(
            l11_bilevel(matrix, self.radius, dim=dim, batch_dims=batch_dims), self.fold, tensor
        )

    def norm(self, tensor: Tensor) -> Tensor:
        """Return the norm that the radius bounds, in float64, one per independent matrix."""
        matrix, _, batch_dims = self.folded(tensor)
        return as_rows(matrix, batch_dims).abs().sum(-1).reshape(matrix.shape[:batch_dims])

    def minimise_linear(self, gradient: Tensor) -> Tensor:
        """Return the vertex ``-radius · sign(g_k) · e_k``: as a set, the ball of this norm is the l1 ball."""
        matrix, _, batch_dims = self.folded(gradient)
        vertex = towards_zero(sparse_vertex(as_rows(matrix, batch_dims), self.radius), gradient.dtype)
        return unfold_weight(vertex.reshape(matrix.shape), self.fold, gradient)
