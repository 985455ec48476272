"""MNIST: 60,000 + 10,000 handwritten digits, 1x28x28.

LeCun, Bottou, Bengio, Haffner, Gradient-based learning applied to document recognition (1998),
doi:10.1109/5.726791.
"""

from __future__ import annotations

from netsmith.tasks.idx import read_idx
from netsmith.tasks.images import to_dataset
from netsmith.tasks.source import Remote, locate
from netsmith.tasks.task import Task

_HOME = "https://ossci-datasets.s3.amazonaws.com/mnist/"

# file -> (md5 of the bytes, md5 of the .gz as served)
_FILES = {
    "train-images-idx3-ubyte": ("6bbc9ace898e44ae57da46a324031adb", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
    "train-labels-idx1-ubyte": ("a25bea736e30d166cdddb491f175f624", "d53e105ee54ea40749a09fcbcd1e9432"),
    "t10k-images-idx3-ubyte": ("2646ac647ad5339dbf082846283269ea", "9fb629c4189551a2d022fa330f9573f3"),
    "t10k-labels-idx1-ubyte": ("27ae3e4e09519cfbb04c329615203637", "ec29112dd5afa0611ce80d1b7f02629c"),
}

# Mean and standard deviation of all training pixels.
MEAN, STD = (0.1307,), (0.3081,)


def load(*, train_size: int | None = None, test_size: int | None = None) -> Task:
    """Return the task ``mnist``; no augmentation.

    Args:
        train_size: keep a class-balanced subset of so many training images.
        test_size: the same for the test images.

    Raises:
        DataError: the files are missing, incomplete, or not the published ones.
    """
    images, labels, test_images, test_labels = (
        read_idx(locate("mnist", (f"{name}.gz", name), remote=Remote(f"{_HOME}{name}.gz", f"md5:{gz}")), md5)
        for name, (md5, gz) in _FILES.items()
    )
    return Task(
        name="mnist",
        train=to_dataset(images.unsqueeze(1), labels, mean=MEAN, std=STD, size=train_size),
        test=to_dataset(test_images.unsqueeze(1), test_labels, mean=MEAN, std=STD, size=test_size),
        classes=10,
        input_shape=(1, 28, 28),
    )
