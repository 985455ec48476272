"""From bytes to what a network trains on: standardised float images beside their class ids."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from netsmith.tasks.subset import balanced


def to_dataset(
    images: Tensor, labels: Tensor, *, mean: Sequence[float], std: Sequence[float], size: int | None = None
) -> TensorDataset:
    """Return ``((image / 255 - mean) / std, label)`` pairs.

    Args:
        images: uint8 ``[n, channels, height, width]``.
        labels: class ids ``[n]``, any integer dtype.
        mean: per channel, on the scale 0 to 1.
        std: per channel, on the scale 0 to 1.
        size: keep only a class-balanced subset of so many (:func:`netsmith.tasks.subset.balanced`).

    Returns:
        A dataset of float32 ``[size, channels, height, width]`` and int64 ``[size]``.

    Raises:
        DataError: size is not between 1 and n.
    """
    targets = labels.long()
    index = balanced(targets, size)
    # Only the kept images become float: a short run must not pay four times the whole set's memory.
    pixels = images[index].float().div_(255)
    pixels.sub_(torch.tensor(mean).view(1, -1, 1, 1)).div_(torch.tensor(std).view(1, -1, 1, 1))
    return TensorDataset(pixels, targets[index])
