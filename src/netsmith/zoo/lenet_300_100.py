"""LeNet-300-100: two hidden layers, the smallest standard network of the pruning literature."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from netsmith.zoo.init import he_init_
from netsmith.zoo.scaled import scaled


def lenet_300_100(
    *, classes: int = 10, channels: int = 1, size: tuple[int, int] = (28, 28), width: float = 1.0
) -> nn.Sequential:
    """Return an MLP with hidden layers of 300 and 100 ReLU units; 266,610 parameters on MNIST.

    LeCun et al. (1998), doi:10.1109/5.726791.

    Args:
        classes: number of logits.
        channels: of the input image.
        size: height and width of the input image.
        width: multiplies the hidden layers.

    Returns:
        A network from ``[n, channels, *size]`` to ``[n, classes]``.

    Example:
        >>> sum(parameter.numel() for parameter in lenet_300_100().parameters())
        266610
    """
    first, second = scaled(300, width), scaled(100, width)
    return he_init_(
        nn.Sequential(
            OrderedDict(
                [
                    ("flatten", nn.Flatten()),
                    ("linear1", nn.Linear(channels * size[0] * size[1], first)),
                    ("relu1", nn.ReLU()),
                    ("linear2", nn.Linear(first, second)),
                    ("relu2", nn.ReLU()),
                    ("linear3", nn.Linear(second, classes)),
                ]
            )
        )
    )
