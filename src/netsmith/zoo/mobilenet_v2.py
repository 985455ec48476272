"""MobileNetV2: inverted residuals with depthwise convolutions."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from netsmith.errors import UnknownNameError
from netsmith.zoo.init import he_init_
from netsmith.zoo.scaled import scaled

# Expansion, channels, blocks and ImageNet stride of each stage: table 2 of the paper.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class InvertedResidual(nn.Module):
    """Expand by a 1x1, filter depthwise by a 3x3, project by a linear 1x1; add the input if it fits.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: of the depthwise convolution.
        expansion: width of the depthwise convolution over that of the input; 1 leaves out the first step.

    Sandler et al. (2018), arXiv:1801.04381.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        expand = [] if expansion == 1 else _conv_norm_relu(in_channels, hidden, 1)
        self.body = nn.Sequential(
            *expand,
            *_conv_norm_relu(hidden, hidden, 3, stride=stride, groups=hidden),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[n, out_channels, ceil(height / stride), ceil(width / stride)]``."""
        y: Tensor = self.body(x)
        return x + y if self.residual else y


def mobilenet_v2(
    *,
    classes: int = 10,
    channels: int = 1,
    width: float = 1.0,
    strides: str = "cifar",
    dropout: float = 0.0,
) -> nn.Sequential:
    """Return MobileNetV2; 3,504,872 parameters with three channels and 1,000 classes.

    Sandler et al. (2018), arXiv:1801.04381. Widths are rounded to multiples of 8, and the last layer does
    not shrink below 1,280, as in the authors' code.

    Args:
        classes: number of logits.
        channels: of the input image.
        width: multiplies all widths.
        strides: ``"imagenet"`` ends at 1/32 of the resolution, ``"cifar"`` at 1/8 (stem and second stage keep
            it); the parameters are the same.
        dropout: before the classifier (the authors: 0.2).

    Returns:
        A network from ``[n, channels, height, width]`` to ``[n, classes]``.

    Raises:
        UnknownNameError: no such strides.
    """
    if strides not in ("cifar", "imagenet"):
        raise UnknownNameError("strides", strides, ("cifar", "imagenet"))
    small = strides == "cifar"
    previous = scaled(32, width, multiple=8)
    layers: list[nn.Module] = _conv_norm_relu(channels, previous, 3, stride=1 if small else 2)
    for number, (expansion, base, blocks, stride) in enumerate(_STAGES):
        out = scaled(base, width, multiple=8)
        for block in range(blocks):
            first = 1 if block > 0 or (small and number == 1) else stride
            layers.append(InvertedResidual(previous, out, first, expansion))
            previous = out
    last = max(1280, scaled(1280, width, multiple=8))
    layers += _conv_norm_relu(previous, last, 1)
    return he_init_(
        nn.Sequential(
            OrderedDict(
                [
                    ("features", nn.Sequential(*layers)),
                    ("average", nn.AdaptiveAvgPool2d(1)),
                    ("flatten", nn.Flatten()),
                    ("dropout", nn.Dropout(dropout)),
                    ("linear", nn.Linear(last, classes)),
                ]
            )
        )
    )


def _conv_norm_relu(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    convolution = nn.Conv2d(
        in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
    )
    return [convolution, nn.BatchNorm2d(out_channels), nn.ReLU6()]
