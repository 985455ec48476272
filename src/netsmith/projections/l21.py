"""The l2,1 ball: whole groups (columns or rows of a weight) become exactly zero."""

from __future__ import annotations

import torch
from torch import Tensor

from netsmith.cards import card
from netsmith.projections.ball import GroupBall
from netsmith.projections.folds import unfold_weight
from netsmith.projections.numerics import as_groups, from_groups, merge, towards_zero, within
from netsmith.projections.simplex import shrink_to_sum, sparse_vertex


def l21_ball(tensor: Tensor, radius: float, *, dim: int, batch_dims: int = 0) -> Tensor:
    """Project on ``{x : Σ_j ‖x_j‖₂ <= radius}`` over the groups ``x_j``, the nearest point.

    ``x_j = v_j · u'_j / u_j`` with ``u_j = ‖v_j‖₂`` and ``u'`` the projection of ``u`` on the l1 ball.

    Args:
        tensor: any shape; each index of the first ``batch_dims`` dimensions is projected on its own.
        radius: largest sum of group norms allowed, >= 0; 0 gives all zeros.
        dim: the dimension that numbers the groups; a group holds everything else. In a linear weight ``[out,
            in]``, ``dim=1`` groups by input feature (columns), ``dim=0`` by neuron (rows).

    Returns:
        A new tensor of the same shape, dtype and device, with the same values where the norm is within the
        radius. Differentiable by autograd.

    Raises:
        NetsmithError: radius negative or not finite; NaN or infinite entries; ``dim`` not a dimension after
            the batch; not a floating-point tensor.

    >>> l21_ball(torch.tensor([[3.0, 0.3], [4.0, 0.4]]), 2.0, dim=1)
    tensor([[1.2000, 0.0000],
            [1.6000, 0.0000]])
    """
    groups = as_groups(tensor, dim, batch_dims)
    lengths = torch.linalg.vector_norm(groups, dim=-1)
    inside = within(lengths.sum(-1), radius)
    if bool(inside.all()):
        return tensor.clone()
    kept = shrink_to_sum(lengths, lengths.new_full(inside.shape, radius))
    scaled = groups * (kept / torch.where(lengths > 0, lengths, 1.0)).unsqueeze(-1)
    projected = from_groups(towards_zero(scaled, tensor.dtype), tensor, dim, batch_dims)
    return merge(projected, tensor, inside, batch_dims)


@card(
    "Projection on the l2,1 ball",
    paper="Barlaud, Guyard 2020",
    venue="ICPR 2020",
    differs="group norms are l2 norms; the authors' public code has l1 sums there, which is another map",
)
class L21Ball(GroupBall):
    """Weights with ``Σ_j ‖w_j‖₂ <= radius`` over columns or rows: whole groups vanish, see :func:`l21_ball`.

    Arguments are those of :class:`~netsmith.projections.ball.GroupBall`.
    """

    def __call__(self, tensor: Tensor) -> Tensor:
        """Return the nearest weight in the ball."""
        matrix, dim, batch_dims = self.folded(tensor)
        return unfold_weight(l21_ball(matrix, self.radius, dim=dim, batch_dims=batch_dims), self.fold, tensor)

    def norm(self, tensor: Tensor) -> Tensor:
        """Return the norm that the radius bounds, in float64, one per independent matrix."""
        matrix, dim, batch_dims = self.folded(tensor)
        lengths: Tensor = torch.linalg.vector_norm(as_groups(matrix, dim, batch_dims), dim=-1)
        return lengths.sum(-1).reshape(matrix.shape[:batch_dims])

    def minimise_linear(self, gradient: Tensor) -> Tensor:
        """Return ``-radius · g_k / ‖g_k‖₂`` in the group k with the largest norm, zero elsewhere."""
        matrix, dim, batch_dims = self.folded(gradient)
        groups = as_groups(matrix, dim, batch_dims)
        lengths = torch.linalg.vector_norm(groups, dim=-1)
        weights = sparse_vertex(lengths, self.radius) / torch.where(lengths > 0, lengths, 1.0)
        vertex = towards_zero(groups * weights.unsqueeze(-1), gradient.dtype)
        return unfold_weight(from_groups(vertex, matrix, dim, batch_dims), self.fold, gradient)
