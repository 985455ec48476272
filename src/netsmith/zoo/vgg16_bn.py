"""VGG-16 with batch norm, for small images and in its ImageNet form."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from netsmith.errors import UnknownNameError
from netsmith.zoo.init import he_init_
from netsmith.zoo.scaled import scaled

_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def vgg16_bn(
    *,
    classes: int = 10,
    channels: int = 1,
    width: float = 1.0,
    classifier: str = "linear",
    dropout: float = 0.0,
) -> nn.Sequential:
    """Return VGG-16: thirteen 3x3 convolutions, each with batch norm, and a classifier.

    With three channels 14,728,266 parameters (10 classes, ``"linear"``) or 138,365,992 (1,000 classes,
    ``"imagenet"``). Simonyan, Zisserman (2015), arXiv:1409.1556; pooling rounds up, so that sides which are
    no multiple of 32, such as 28, pass as well.

    Args:
        classes: number of logits.
        channels: of the input image.
        width: multiplies all widths.
        classifier: ``"linear"``, one layer on averaged features, for small images; ``"imagenet"``, 7x7
            features and two hidden layers of 4,096, for 224x224.
        dropout: before the last linear layers of ``"imagenet"`` (the paper: 0.5).

    Returns:
        A network from ``[n, channels, height, width]`` to ``[n, classes]``.

    Raises:
        UnknownNameError: no such classifier.
    """
    if classifier not in ("linear", "imagenet"):
        raise UnknownNameError("classifier", classifier, ("linear", "imagenet"))
    layers: list[nn.Module] = []
    previous = channels
    for stage in _STAGES:
        for base in stage:
            out = scaled(base, width)
            layers += [nn.Conv2d(previous, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
            previous = out
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
    head: nn.Module
    if classifier == "linear":
        side, head = 1, nn.Linear(previous, classes)
    else:
        side, head = 7, _hidden_classifier(previous * 7 * 7, scaled(4096, width), classes, dropout)
    return he_init_(
        nn.Sequential(
            OrderedDict(
                [
                    ("features", nn.Sequential(*layers)),
                    ("average", nn.AdaptiveAvgPool2d(side)),
                    ("flatten", nn.Flatten()),
                    ("classifier", head),
                ]
            )
        )
    )


def _hidden_classifier(features: int, hidden: int, classes: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(features, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, classes),
    )
