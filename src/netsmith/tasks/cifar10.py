"""CIFAR-10: 50,000 + 10,000 photographs of ten classes, 3x32x32.

Krizhevsky, Learning multiple layers of features from tiny images (2009),
https://www.cs.toronto.edu/~kriz/cifar.html. The binary version is read: the Python one is a pickle.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import torch
from torch import Tensor

from netsmith.errors import DataError
from netsmith.tasks.augment import CropFlip
from netsmith.tasks.images import to_dataset
from netsmith.tasks.source import Remote, locate, verify
from netsmith.tasks.task import Task

_ARCHIVE = Remote(
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    checksum="md5:c32a1d4ab5d03f1284b67883e8d87530",
)
_TRAIN = tuple(f"cifar-10-batches-bin/data_batch_{number}.bin" for number in range(1, 6))
_TEST = ("cifar-10-batches-bin/test_batch.bin",)

# Per-channel mean and standard deviation of all training pixels.
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def load(*, train_size: int | None = None, test_size: int | None = None, augment: bool = True) -> Task:
    """Return the task ``cifar10``.

    A local copy is the archive ``cifar-10-binary.tar.gz`` as published, in ``$NETSMITH_DATA/cifar10``.

    Args:
        train_size: keep a class-balanced subset of so many training images.
        test_size: the same for the test images.
        augment: shift by up to 4 pixels and flip (He et al., 2016, arXiv:1512.03385).

    Raises:
        DataError: the archive is missing or not the published one.
    """
    path = locate("cifar10", ("cifar-10-binary.tar.gz",), remote=_ARCHIVE)
    verify(path, _ARCHIVE.checksum)
    images, labels = _read(path, _TRAIN)
    test_images, test_labels = _read(path, _TEST)
    return Task(
        name="cifar10",
        train=to_dataset(images, labels, mean=MEAN, std=STD, size=train_size),
        test=to_dataset(test_images, test_labels, mean=MEAN, std=STD, size=test_size),
        classes=10,
        input_shape=(3, 32, 32),
        # Zero is the mean colour after standardising, the padding of the paper.
        augment=CropFlip(padding=4) if augment else None,
    )


def _read(path: Path, members: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Return uint8 images and labels; a record is a label byte, then 3 planes of 32 rows of 32 bytes."""
    content = bytearray()
    with tarfile.open(path, "r:gz") as archive:
        for member in members:
            file = archive.extractfile(member)
            if file is None:
                raise DataError(f"{path} has no file {member!r}; replace it with an unchanged copy")
            content += file.read()
    records = torch.frombuffer(content, dtype=torch.uint8).view(-1, 1 + 3 * 32 * 32)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]
