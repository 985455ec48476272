"""Digits: 1,797 handwritten digits, 1x8x8, that come with scikit-learn; nothing to download.

The test part of Alpaydin, Kaynak, Optical recognition of handwritten digits (1998), doi:10.24432/C50P49.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from netsmith.tasks.subset import balanced
from netsmith.tasks.task import Task

# Mean and standard deviation of the training pixels, on the scale 0 to 1.
MEAN, STD = 0.3056, 0.3761


def load(*, train_size: int | None = None, test_size: int | None = None) -> Task:
    """Return the task ``digits``: always the same stratified split, 1,257 to train on and 540 held out.

    Pixels (0 to 16) become ``(pixel / 16 - mean) / std``; no augmentation.

    Args:
        train_size: keep a class-balanced subset of so many training images.
        test_size: the same for the test images.

    Raises:
        DataError: a size is larger than the set or not positive.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    train, test = train_test_split(range(len(labels)), test_size=0.3, stratify=labels, random_state=0)
    images = torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 8, 8).div_(16).sub_(MEAN).div_(STD)
    targets = torch.tensor(labels, dtype=torch.int64)
    return Task(
        name="digits",
        train=_part(images[train], targets[train], train_size),
        test=_part(images[test], targets[test], test_size),
        classes=10,
        input_shape=(1, 8, 8),
    )


def _part(images: Tensor, targets: Tensor, size: int | None) -> TensorDataset:
    index = balanced(targets, size)
    return TensorDataset(images[index], targets[index])
