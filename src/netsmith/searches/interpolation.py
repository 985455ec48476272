"""Channel-wise interpolation: feature maps of one number of channels as maps of another."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor


def interpolation_matrix(source: int, target: int) -> Tensor:
    """Return ``[target, source]``: row t averages ``floor(t s / n)`` up to ``ceil((t + 1) s / n)``.

    The bins of adaptive average pooling, taken along the channels.

    >>> interpolation_matrix(2, 3)
    tensor([[1.0000, 0.0000],
            [0.5000, 0.5000],
            [0.0000, 1.0000]])
    """
    return _matrix(source, target).clone()


@lru_cache(maxsize=4096)
def _matrix(source: int, target: int) -> Tensor:
    row, column = torch.arange(target).unsqueeze(1), torch.arange(source)
    start, stop = row * source // target, -((-(row + 1) * source) // target)
    inside = (column >= start) & (column < stop)
    return inside.float() / inside.sum(dim=1, keepdim=True)


def interpolate_channels(x: Tensor, channels: int, dim: int = 1) -> Tensor:
    """Return ``x`` with ``channels`` channels along ``dim``, each the mean of the bin it falls on.

    Channel-wise interpolation (X. Dong, Y. Yang 2019, arXiv:1905.09717): the identity where the number stays,
    linear in ``x``; where ``channels`` divides the number before, the mean over all channels stays.

    Args:
        x: any shape.
        channels: how many there shall be, >= 1.
        dim: the dimension of the channels.

    >>> interpolate_channels(torch.tensor([[1.0, 3.0]]), 4)
    tensor([[1., 1., 3., 3.]])
    """
    if x.shape[dim] == channels:
        return x
    return mapped(x, _matrix(x.shape[dim], channels).to(x.device, x.dtype), dim)


def mapped(x: Tensor, matrix: Tensor, dim: int) -> Tensor:
    """Return ``matrix [n, c]`` applied along one dimension of size c."""
    dim %= x.dim()
    convolution = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}.get(x.dim())
    if dim == 1 and convolution is not None:
        return convolution(x, matrix.view(*matrix.shape, *[1] * (x.dim() - 2)))
    return F.linear(x.movedim(dim, -1), matrix).movedim(-1, dim)
