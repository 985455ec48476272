"""ResNet-18 in its ImageNet form."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from netsmith.zoo.basic_block import BasicBlock
from netsmith.zoo.init import he_init_
from netsmith.zoo.scaled import scaled


def resnet18(
    *, classes: int = 10, channels: int = 1, width: float = 1.0, attention: str | None = None
) -> nn.Sequential:
    """Return ResNet-18: 7x7 stem, four stages of two blocks (64, 128, 256, 512), projection shortcuts.

    11,689,512 parameters with three channels and 1,000 classes. He et al. (2016), arXiv:1512.03385.

    Args:
        classes: number of logits.
        channels: of the input image.
        width: multiplies all widths.
        attention: of :func:`netsmith.layers.channel_attention`, in every block; none by default.

    Returns:
        A network from ``[n, channels, height, width]``, sides at least 32, to ``[n, classes]``; it sees
        1/32 of the resolution at its end.

    Example:
        >>> sum(parameter.numel() for parameter in resnet18(channels=3, classes=1000).parameters())
        11689512
    """
    widths = [scaled(base, width) for base in (64, 128, 256, 512)]
    stages = []
    previous = widths[0]
    for number, out in enumerate(widths, start=1):
        first = BasicBlock(previous, out, stride=1 if number == 1 else 2, attention=attention)
        stages.append((f"stage{number}", nn.Sequential(first, BasicBlock(out, out, attention=attention))))
        previous = out
    return he_init_(
        nn.Sequential(
            OrderedDict(
                [
                    ("conv", nn.Conv2d(channels, widths[0], 7, stride=2, padding=3, bias=False)),
                    ("norm", nn.BatchNorm2d(widths[0])),
                    ("relu", nn.ReLU()),
                    ("pool", nn.MaxPool2d(3, stride=2, padding=1)),
                    *stages,
                    ("average", nn.AdaptiveAvgPool2d(1)),
                    ("flatten", nn.Flatten()),
                    ("linear", nn.Linear(previous, classes)),
                ]
            )
        )
    )
