"""The ResNets for small images: three stages of 16, 32 and 64 channels."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import nn

from netsmith.errors import UnknownNameError
from netsmith.zoo.basic_block import BasicBlock
from netsmith.zoo.init import he_init_
from netsmith.zoo.scaled import scaled


def resnet20(
    *,
    classes: int = 10,
    channels: int = 1,
    width: float = 1.0,
    shortcut: str = "B",
    attention: str | None = None,
) -> nn.Sequential:
    """Return ResNet-20; 269,722 parameters with shortcut A on three channels.

    He et al. (2016), arXiv:1512.03385, section 4.2, which uses option A.

    Args:
        classes: number of logits.
        channels: of the input image.
        width: multiplies all widths.
        shortcut: ``"B"`` projects where a stage changes the shape, ``"A"`` pads with zero channels and has no
            parameters.
        attention: of :func:`netsmith.layers.channel_attention`, in every block; none by default.

    Returns:
        A network from ``[n, channels, height, width]``, made for 32x32 but open to any size, to
        ``[n, classes]``.

    Raises:
        UnknownNameError: shortcut is neither A nor B, or no such attention.

    Example:
        >>> sum(parameter.numel() for parameter in resnet20(channels=3, shortcut="A").parameters())
        269722
    """
    return _resnet(3, classes, channels, width, shortcut, attention)


def eca_resnet20(**options: Any) -> nn.Sequential:
    """Return :func:`resnet20` with efficient channel attention in every block, 27 parameters more.

    Wang et al. (2020), arXiv:1910.03151.

    Example:
        >>> sum(parameter.numel() for parameter in eca_resnet20(channels=3, shortcut="A").parameters())
        269749
    """
    return resnet20(**{"attention": "eca", **options})


def resnet56(
    *,
    classes: int = 10,
    channels: int = 1,
    width: float = 1.0,
    shortcut: str = "B",
    attention: str | None = None,
) -> nn.Sequential:
    """Return ResNet-56, :func:`resnet20` with nine blocks per stage; 853,018 parameters with shortcut A.

    Example:
        >>> sum(parameter.numel() for parameter in resnet56(channels=3, shortcut="A").parameters())
        853018
    """
    return _resnet(9, classes, channels, width, shortcut, attention)


def _resnet(
    blocks: int, classes: int, channels: int, width: float, shortcut: str, attention: str | None
) -> nn.Sequential:
    if shortcut not in ("A", "B"):
        raise UnknownNameError("shortcut", shortcut, ("A", "B"))
    widths = [scaled(base, width) for base in (16, 32, 64)]
    stages = []
    previous = widths[0]
    for number, out in enumerate(widths, start=1):
        first = BasicBlock(previous, out, 1 if number == 1 else 2, shortcut, attention)
        others = (BasicBlock(out, out, attention=attention) for _ in range(blocks - 1))
        stages.append((f"stage{number}", nn.Sequential(first, *others)))
        previous = out
    return he_init_(
        nn.Sequential(
            OrderedDict(
                [
                    ("conv", nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)),
                    ("norm", nn.BatchNorm2d(widths[0])),
                    ("relu", nn.ReLU()),
                    *stages,
                    ("average", nn.AdaptiveAvgPool2d(1)),
                    ("flatten", nn.Flatten()),
                    ("linear", nn.Linear(previous, classes)),
                ]
            )
        )
    )
