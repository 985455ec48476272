"""Density maps: points that are to be counted, as maps whose sum is their number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from netsmith.errors import NetsmithError

NEIGHBOURS = 3
SHARE = 0.3
"""The spread of a point is this share of the mean distance to its neighbours (Zhang et al. 2016)."""


class CountingError(NamedTuple):
    """How far counts are off, in objects per image."""

    mae: float
    rmse: float


def density_map(
    points: Tensor | Sequence[Sequence[float]],
    size: tuple[int, int],
    *,
    sigma: float | Literal["adaptive"] = 4.0,
    stride: int = 1,
) -> Tensor:
    """Return the sum of one Gaussian per point, each of which sums to 1 over the image.

    What of a Gaussian would lie beyond the border is spread over the image, so that the map always sums to
    the number of points.

    Args:
        points: ``[points, 2]``, (row, column) in pixels; pixel i covers i to i + 1. None at all is legal.
        size: height and width of the image, in pixels.
        sigma: standard deviation in pixels; ``"adaptive"`` takes for each point 0.3 of the mean distance to
            its three nearest neighbours, a quarter of the image's mean side for a lone point (Zhang et al.
            2016, "Single-image crowd counting via multi-column convolutional neural network").
        stride: the map is summed over squares of this many pixels. Where it does not divide the size, the
            last squares hold fewer pixels: sizes are rounded up, as by pooling in ceil mode.

    Returns:
        ``[ceil(height / stride), ceil(width / stride)]``.

    Raises:
        NetsmithError: points outside the image or of another shape; a sigma or stride that is not positive.

    Example:
        >>> density = density_map([[0.0, 0.0], [30.0, 17.5]], (40, 30), stride=8)
        >>> density.shape, round(float(density.sum()), 4)
        (torch.Size([5, 4]), 2.0)
    """
    where = torch.as_tensor(points, dtype=torch.float64)
    where = where.reshape(0, 2) if not where.numel() else where
    height, width = size
    if where.dim() != 2 or where.shape[1] != 2:
        raise NetsmithError(f"points of shape {tuple(where.shape)}: expected [points, 2], (row, column)")
    outside = ((where < 0) | (where > torch.tensor([height, width]))).any(1) | where.isnan().any(1)
    if outside.any():
        raise NetsmithError(f"point {where[outside][0].tolist()} is outside of an image of {height}x{width}")
    if stride < 1 or (sigma != "adaptive" and not sigma > 0):
        raise NetsmithError(f"sigma={sigma!r}, stride={stride}: expected pixels above 0 and at least 1")
    spread = (
        _adaptive(where, (height + width) / 8)
        if sigma == "adaptive"
        else where.new_full((len(where),), sigma)
    )
    rows, columns = (_bumps(where[:, axis], spread, length) for axis, length in enumerate(size))
    fine = rows.T @ columns
    right, below = -width % stride, -height % stride
    padded = F.pad(fine, (0, right, 0, below))
    coarse = padded.reshape(padded.shape[0] // stride, stride, padded.shape[1] // stride, stride).sum((1, 3))
    return coarse.float()


def _bumps(centres: Tensor, spread: Tensor, length: int) -> Tensor:
    """Return one row per point: a Gaussian over the middles of pixels that sums to 1."""
    pixels = torch.arange(length, dtype=torch.float64) + 0.5
    return torch.softmax(-0.5 * ((pixels - centres[:, None]) / spread[:, None]).square(), dim=1)


def _adaptive(points: Tensor, lone: float) -> Tensor:
    if len(points) < 2:
        return points.new_full((len(points),), lone)
    nearest = torch.cdist(points, points).sort(dim=1).values[:, 1 : NEIGHBOURS + 1]
    return (SHARE * nearest.mean(1)).clamp(min=0.5)  # two heads in one place still have a width


def count(maps: Tensor) -> Tensor:
    """Return the sum of each density map, ``[batch, ...]`` to ``[batch]``."""
    return maps.flatten(1).sum(1)


def counting_error(predicted: Tensor, wanted: Tensor) -> CountingError:
    """Return mean absolute and root mean squared error of the counts of density maps ``[batch, ...]``.

    Example:
        >>> counting_error(torch.tensor([[3.0], [9.0]]), torch.tensor([[2.0], [2.0]]))
        CountingError(mae=4.0, rmse=5.0)
    """
    off = count(predicted) - count(wanted)
    return CountingError(float(off.abs().mean()), float(off.square().mean().sqrt()))
