"""Fashion-MNIST: 60,000 + 10,000 articles of clothing, 1x28x28, in MNIST's format.

Xiao, Rasul, Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms
(2017), arXiv:1708.07747.
"""

from __future__ import annotations

from pathlib import Path

from netsmith.tasks.augment import CropFlip
from netsmith.tasks.idx import read_idx
from netsmith.tasks.images import to_dataset
from netsmith.tasks.source import Remote, locate
from netsmith.tasks.task import Task

_HOME = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_DEBIAN = "/usr/share/datasets/fashion-mnist"

# file -> (md5 of the bytes, md5 of the .gz as served)
_FILES = {
    "train-images-idx3-ubyte": ("f4a8712d7a061bf5bd6d2ca38dc4d50a", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
    "train-labels-idx1-ubyte": ("9018921c3c673c538a1fc5bad174d6f9", "25c81989df183df01b3e8a0aad5dffbe"),
    "t10k-images-idx3-ubyte": ("8181f5470baa50b63fa0f6fddb340f0a", "bef4ecab320f06d8554ea6380940ec79"),
    "t10k-labels-idx1-ubyte": ("15d484375f8d13e6eb1aabb0c3f46965", "bb300cfdad3c16e7a12a480ee83cd310"),
}

# Mean and standard deviation of all training pixels.
MEAN, STD = (0.2860,), (0.3530,)


def load(*, train_size: int | None = None, test_size: int | None = None, augment: bool = False) -> Task:
    """Return the task ``fashion-mnist``.

    Args:
        train_size: keep a class-balanced subset of so many training images.
        test_size: the same for the test images.
        augment: shift by up to 2 pixels and flip; pays from some tens of epochs on.

    Raises:
        DataError: the files are missing, incomplete, or not the published ones.
    """
    images, labels, test_images, test_labels = (
        read_idx(_file(name, gz), md5) for name, (md5, gz) in _FILES.items()
    )
    background = -MEAN[0] / STD[0]
    return Task(
        name="fashion-mnist",
        train=to_dataset(images.unsqueeze(1), labels, mean=MEAN, std=STD, size=train_size),
        test=to_dataset(test_images.unsqueeze(1), test_labels, mean=MEAN, std=STD, size=test_size),
        classes=10,
        input_shape=(1, 28, 28),
        augment=CropFlip(padding=2, fill=background) if augment else None,
    )


def _file(name: str, gz: str) -> Path:
    return locate(
        "fashion-mnist",
        (f"{name}.gz", name),
        remote=Remote(f"{_HOME}{name}.gz", f"md5:{gz}"),
        folders=(_DEBIAN,),
        hint=", or install the Debian package dataset-fashion-mnist",
    )
