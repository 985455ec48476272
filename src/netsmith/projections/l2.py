"""The l2 ball: the tensor is scaled, nothing becomes zero."""

from __future__ import annotations

import torch
from torch import Tensor

from netsmith.cards import card
from netsmith.projections.ball import Ball
from netsmith.projections.numerics import as_rows, check_finite, merge, towards_zero, within


def l2_ball(tensor: Tensor, radius: float, *, batch_dims: int = 0) -> Tensor:
    """Project on ``{x : ‖x‖₂ <= radius}``: ``x = v · min(1, radius / ‖v‖₂)``, the nearest point.

    Args:
        tensor: any shape; each index of the first ``batch_dims`` dimensions is projected on its own.
        radius: largest l2 norm allowed, >= 0; 0 gives all zeros.

    Returns:
        A new tensor of the same shape, dtype and device, with the same values where the norm is within the
        radius. Differentiable by autograd.

    Raises:
        NetsmithError: radius negative or not finite; NaN or infinite entries; not a floating-point tensor.

    >>> l2_ball(torch.tensor([3.0, 4.0]), 1.0)
    tensor([0.6000, 0.8000])
    """
    rows = as_rows(tensor, batch_dims)
    norm = torch.linalg.vector_norm(rows, dim=-1)
    inside = within(norm, radius)
    if bool(inside.all()):
        return tensor.clone()
    scale = radius / torch.where(inside, 1.0, norm)
    scaled = towards_zero(rows * scale.unsqueeze(-1), tensor.dtype)
    return merge(scaled.reshape(tensor.shape), tensor, inside, batch_dims)


@card("Projection on the l2 ball", paper="Barlaud, Guyard 2020", venue="ICPR 2020")
class L2Ball(Ball):
    """Tensors with ``‖w‖₂ <= radius``: bounds the size of weights, makes no zeros; see :func:`l2_ball`.

    Arguments are those of :class:`~netsmith.projections.ball.Ball`.
    """

    def __call__(self, tensor: Tensor) -> Tensor:
        """Return the nearest tensor in the ball."""
        return l2_ball(tensor, self.radius, batch_dims=self.batch_dims)

    def norm(self, tensor: Tensor) -> Tensor:
        """Return the norm that the radius bounds, in float64, of shape ``tensor.shape[:batch_dims]``."""
        rows = as_rows(tensor, self.batch_dims)
        norm: Tensor = torch.linalg.vector_norm(rows, dim=-1)
        return norm.reshape(tensor.shape[: self.batch_dims])

    def minimise_linear(self, gradient: Tensor) -> Tensor:
        """Return ``-radius · g / ‖g‖₂``; zeros for a zero gradient (every point is as good there)."""
        rows = as_rows(gradient, self.batch_dims)
        norm = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
        check_finite(norm)
        point = rows * (-self.radius / torch.where(norm > 0, norm, 1.0))
        return towards_zero(point, gradient.dtype).reshape(gradient.shape)
