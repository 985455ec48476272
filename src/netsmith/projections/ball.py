"""What the balls share: a radius, independent tensors, and how a weight falls into groups."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from torch import Tensor

from netsmith.projections.folds import Axis, Fold, check_names, fold_weight
from netsmith.projections.numerics import check_radius


@dataclass(frozen=True)
class Ball:
    """A set of tensors whose norm is at most the radius.

    Args:
        radius: largest norm allowed, in units of the weights, >= 0; absolute, so scale it with the layer
            (``0.1 * L1Ball(0).norm(weight).item()`` keeps a tenth of the norm).
        batch_dims: leading dimensions that number independent tensors.

    Raises:
        NetsmithError: ``radius`` is negative or not finite.
    """

    nearest: ClassVar[bool] = True

    radius: float
    _: KW_ONLY
    batch_dims: int = 0

    def __post_init__(self) -> None:
        check_radius(self.radius)


@dataclass(frozen=True, kw_only=True)
class GroupBall(Ball):
    """A ball of weights whose columns or rows are groups.

    Args:
        radius: largest norm allowed, in units of the weights, >= 0.
        axis: ``"in"``: one group per input feature or channel (a column of PyTorch's ``[out, in]``);
            ``"out"``: one group per neuron or filter (a row).
        fold: how a convolution kernel becomes a matrix, see :mod:`netsmith.projections.folds`.
        batch_dims: leading dimensions that number independent weights.

    Raises:
        NetsmithError: ``radius`` is negative or not finite.
        UnknownNameError: an axis or fold of another name.
    """

    axis: Axis = "in"
    fold: Fold = "channel"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names(self.axis, self.fold)

    def folded(self, tensor: Tensor) -> tuple[Tensor, int, int]:
        """Return the weight as matrices, the dimension that numbers the groups, and how many are batch."""
        matrix, batch_dims = fold_weight(tensor, self.fold, self.batch_dims)
        return matrix, batch_dims + (self.axis == "in"), batch_dims
