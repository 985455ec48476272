"""A small CNN that learns the digits within seconds on a CPU."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from netsmith.zoo.init import he_init_
from netsmith.zoo.scaled import scaled


def small_cnn(*, classes: int = 10, channels: int = 1, width: float = 1.0) -> nn.Sequential:
    """Return a CNN of three 3x3 convolutions (32, 64, 64) with batch norm; 56,554 parameters.

    Args:
        classes: number of logits.
        channels: of the input image.
        width: multiplies all widths.

    Returns:
        A network from ``[n, channels, height, width]``, sides at least 2, to ``[n, classes]``.

    Example:
        >>> sum(parameter.numel() for parameter in small_cnn().parameters())
        56554
    """
    first, second, third = scaled(32, width), scaled(64, width), scaled(64, width)
    return he_init_(
        nn.Sequential(
            OrderedDict(
                [
                    ("conv1", nn.Conv2d(channels, first, 3, padding=1, bias=False)),
                    ("norm1", nn.BatchNorm2d(first)),
                    ("relu1", nn.ReLU()),
                    ("conv2", nn.Conv2d(first, second, 3, padding=1, bias=False)),
                    ("norm2", nn.BatchNorm2d(second)),
                    ("relu2", nn.ReLU()),
                    ("pool", nn.MaxPool2d(2)),
                    ("conv3", nn.Conv2d(second, third, 3, padding=1, bias=False)),
                    ("norm3", nn.BatchNorm2d(third)),
                    ("relu3", nn.ReLU()),
                    ("average", nn.AdaptiveAvgPool2d(1)),
                    ("flatten", nn.Flatten()),
                    ("linear", nn.Linear(third, classes)),
                ]
            )
        )
    )
