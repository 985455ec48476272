"""The l1 ball: entries are soft-thresholded, small ones become exactly zero."""

from __future__ import annotations

import torch
from torch import Tensor

from netsmith.cards import card
from netsmith.projections.ball import Ball
from netsmith.projections.numerics import as_rows, merge, towards_zero, within
from netsmith.projections.simplex import shrink_to_sum, sparse_vertex


def l1_ball(tensor: Tensor, radius: float, *, batch_dims: int = 0) -> Tensor:
    """Project on ``{x : Σ|x_i| <= radius}``, the nearest point in the Euclidean norm.

    ``x_i = sign(v_i) · max(|v_i| - t, 0)`` with the threshold ``t >= 0`` that makes the norm equal to the
    radius; ``t`` is found by Newton steps in float64, in a few passes and without sorting (Condat 2016
    surveys the field; the sort-based formula is Duchi et al. 2008).

    Args:
        tensor: any shape; each index of the first ``batch_dims`` dimensions is projected on its own.
        radius: largest l1 norm allowed, >= 0; 0 gives all zeros.

    Returns:
        A new tensor of the same shape, dtype and device, with the same values where the norm is within the
        radius. Differentiable by autograd.

    Raises:
        NetsmithError: radius negative or not finite; NaN or infinite entries; not a floating-point tensor.

    >>> l1_ball(torch.tensor([3.0, -2.0, 0.5]), 2.0)
    tensor([ 1.5000, -0.5000,  0.0000])
    """
    rows = as_rows(tensor, batch_dims)
    magnitude = rows.abs()
    inside = within(magnitude.sum(-1), radius)
    if bool(inside.all()):
        return tensor.clone()
    kept = torch.copysign(shrink_to_sum(magnitude, magnitude.new_full(inside.shape, radius)), rows)
    return merge(towards_zero(kept, tensor.dtype).reshape(tensor.shape), tensor, inside, batch_dims)


@card(
    "Projection on the l1 ball",
    paper="Barlaud, Guyard 2020",
    venue="ICPR 2020",
    differs="the threshold is found by Newton steps instead of a sort; the result is the same",
)
class L1Ball(Ball):
    """Tensors with ``Σ|w| <= radius``: unstructured zeros, see :func:`l1_ball`.

    Arguments are those of :class:`~netsmith.projections.ball.Ball`.
    """

    def __call__(self, tensor: Tensor) -> Tensor:
        """Return the nearest tensor in the ball."""
        return l1_ball(tensor, self.radius, batch_dims=self.batch_dims)

    def norm(self, tensor: Tensor) -> Tensor:
        """Return the norm that the radius bounds, in float64, of shape ``tensor.shape[:batch_dims]``."""
        return as_rows(tensor, self.batch_dims).abs().sum(-1).reshape(tensor.shape[: self.batch_dims])

    def minimise_linear(self, gradient: Tensor) -> Tensor:
        """Return the vertex ``-radius · sign(g_k) · e_k``, k the largest ``|g|``."""
        vertex = sparse_vertex(as_rows(gradient, self.batch_dims), self.radius)
        return towards_zero(vertex, gradient.dtype).reshape(gradient.shape)
