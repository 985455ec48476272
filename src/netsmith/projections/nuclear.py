"""The nuclear ball: small singular values become exactly zero, the matrix gets a low rank."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from netsmith.cards import card
from netsmith.errors import NetsmithError
from netsmith.projections.ball import Ball
from netsmith.projections.folds import Fold, check_names, fold_weight, unfold_weight
from netsmith.projections.numerics import check_finite, merge, widen, within
from netsmith.projections.simplex import shrink_to_sum


def nuclear_ball(tensor: Tensor, radius: float, *, batch_dims: int = 0) -> Tensor:
    """Project matrices on ``{X : Σ σ_i(X) <= radius}``, the nearest point: ``U diag(σ') Vᵀ``.

    ``σ'`` is the projection of the singular values on the l1 ball. Costs one float64 singular value
    decomposition per matrix, ``O(rows · columns · min(rows, columns))``.

    The result is low rank but stored dense, and the rounding to its dtype fills the zero singular values with
    noise (about ``1e-7`` of the largest in float32): it saves nothing until it is stored as two factors.

    Args:
        tensor: ``[*batch, rows, columns]`` with ``batch_dims`` leading batch dimensions.
        radius: largest nuclear norm allowed, >= 0; 0 gives all zeros.

    Returns:
        A new tensor of the same shape, dtype and device, with the same values where the norm is within the
        radius. Differentiable by autograd where the singular values are distinct.

    Raises:
        NetsmithError: not a matrix after the batch; radius negative or not finite; NaN or infinite entries;
            not a floating-point tensor.

    >>> nuclear_ball(torch.diag(torch.tensor([3.0, 1.0], dtype=torch.float64)), 1.0)
    tensor([[1., 0.],
            [0., 0.]], dtype=torch.float64)
    """
    matrices = _matrices(tensor, batch_dims)
    # LAPACK may crash or never return on NaN, so the entries are checked before the decomposition.
    check_finite(matrices)
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    inside = within(values.sum(-1), radius)
    if bool(inside.all()):
        return tensor.clone()
    kept = shrink_to_sum(values, values.new_full(inside.shape, radius))
    projected = (left * kept.unsqueeze(-2)) @ right
    if tensor.dtype != matrices.dtype:
        projected = projected * _room_for_rounding(projected.detach(), radius, tensor.dtype)
    rounded = projected.to(tensor.dtype) + 0.0
    return merge(rounded.reshape(tensor.shape), tensor, inside, batch_dims)


def _matrices(tensor: Tensor, batch_dims: int) -> Tensor:
    wide = widen(tensor, batch_dims)
    if tensor.dim() - batch_dims != 2:
        raise NetsmithError(
            f"a nuclear norm needs a matrix, got shape {tuple(tensor.shape)}, {batch_dims} of it batch; "
            "fold a convolution kernel (NuclearBall does), and leave biases out"
        )
    return wide.reshape(math.prod(wide.shape[:batch_dims]), *wide.shape[batch_dims:])


def _room_for_rounding(projected: Tensor, radius: float, dtype: torch.dtype) -> Tensor:
    """Return a factor < 1 per matrix after which rounding to ``dtype`` cannot leave the ball.

    Rounding adds E with ``|E| <= u|X| + s`` per entry, and ``‖E‖_* <= sqrt(rank) ‖E‖_F``.
    """
    limits = torch.finfo(dtype)
    rows, columns = projected.shape[-2:]
    size = torch.linalg.matrix_norm(projected, keepdim=True)
    error = limits.eps / 2 * size + limits.smallest_normal * limits.eps * math.sqrt(rows * columns)
    factor: Tensor = 1 - math.sqrt(min(rows, columns)) * error / max(radius, torch.finfo(torch.float64).tiny)
    return factor.clamp_min(0)


@card(
    "Projection on the nuclear-norm ball",
    paper="Barlaud, Guyard 2020",
    venue="ICPR 2020",
    differs="below float64 the norm ends under the radius by the room that rounding needs",
)
@dataclass(frozen=True, kw_only=True)
class NuclearBall(Ball):
    """Weights with ``Σ σ_i(W) <= radius``: low rank, see :func:`nuclear_ball`.

    Args:
        radius: largest nuclear norm allowed, in units of the weights, >= 0.
        fold: how a convolution kernel becomes a matrix, see :mod:`netsmith.projections.folds`; ``"channel"``
            is no matrix here.
        batch_dims: leading dimensions that number independent weights.
    """

    fold: Fold = "full"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("in", self.fold)
        if self.fold == "channel":
            raise NetsmithError("fold 'channel' gives no matrix; choose 'full', 'partial' or 'filter'")

    def __call__(self, tensor: Tensor) -> Tensor:
        """Return the nearest weight in the ball."""
        matrix, batch_dims = self._fold(tensor)
        return unfold_weight(nuclear_ball(matrix, self.radius, batch_dims=batch_dims), self.fold, tensor)

    def norm(self, tensor: Tensor) -> Tensor:
        """Return the norm that the radius bounds, in float64, one per independent matrix."""
        matrix, batch_dims = self._fold(tensor)
        values: Tensor = torch.linalg.svdvals(_matrices(matrix, batch_dims))
        return values.sum(-1).reshape(matrix.shape[:batch_dims])

    def minimise_linear(self, gradient: Tensor) -> Tensor:
        """Return the rank-one ``-radius · u vᵀ`` of the largest singular value of the gradient."""
        matrix, batch_dims = self._fold(gradient)
        matrices = _matrices(matrix, batch_dims)
        check_finite(matrices)
        left, _, right = torch.linalg.svd(matrices, full_matrices=False)
        vertex = -self.radius * left[..., :, :1] @ right[..., :1, :]
        if gradient.dtype != vertex.dtype:
            vertex = vertex * _room_for_rounding(vertex, self.radius, gradient.dtype)
        return unfold_weight(vertex.to(gradient.dtype).reshape(matrix.shape), self.fold, gradient)

    def _fold(self, tensor: Tensor) -> tuple[Tensor, int]:
        if tensor.dim() - self.batch_dims < 2:
            _matrices(tensor, self.batch_dims)
        return fold_weight(tensor, self.fold, self.batch_dims)
