"""LeNet-5 in Caffe's form, the one the pruning literature reports on."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from netsmith.errors import NetsmithError
from netsmith.zoo.init import he_init_
from netsmith.zoo.scaled import scaled


def lenet5(
    *, classes: int = 10, channels: int = 1, size: tuple[int, int] = (28, 28), width: float = 1.0
) -> nn.Sequential:
    """Return LeNet-5 with 20 and 50 filters of 5x5 and 500 hidden units; 431,080 parameters on MNIST.

    Caffe's variant (430,500 weights) of LeCun et al. (1998), doi:10.1109/5.726791: full connectivity,
    max-pooling, and here a ReLU after each convolution as well.

    Args:
        classes: number of logits.
        channels: of the input image.
        size: height and width of the input image, at least 16.
        width: multiplies the filters and hidden units.

    Returns:
        A network from ``[n, channels, *size]`` to ``[n, classes]``.

    Raises:
        NetsmithError: the image is too small for two 5x5 convolutions with pooling.

    Example:
        >>> sum(parameter.numel() for parameter in lenet5().parameters())
        431080
    """
    if min(size) < 16:
        raise NetsmithError(
            f"lenet5 cannot read images of {size[0]}x{size[1]}; give at least 16x16 or take small-cnn"
        )
    first, second, hidden = scaled(20, width), scaled(50, width), scaled(500, width)
    height, breadth = (((side - 4) // 2 - 4) // 2 for side in size)
    return he_init_(
        nn.Sequential(
            OrderedDict(
                [
                    ("conv1", nn.Conv2d(channels, first, 5)),
                    ("relu1", nn.ReLU()),
                    ("pool1", nn.MaxPool2d(2)),
                    ("conv2", nn.Conv2d(first, second, 5)),
                    ("relu2", nn.ReLU()),
                    ("pool2", nn.MaxPool2d(2)),
                    ("flatten", nn.Flatten()),
                    ("linear1", nn.Linear(second * height * breadth, hidden)),
                    ("relu3", nn.ReLU()),
                    ("linear2", nn.Linear(hidden, classes)),
                ]
            )
        )
    )
