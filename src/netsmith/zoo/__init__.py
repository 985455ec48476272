"""Small reference networks, as their papers give them and at any width.

Each is an ordinary ``nn.Module`` with He initialisation whose forward pass depends on no number of channels,
so that any of its channels can be cut.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.zoo import lenet5, lenet_300_100, mobilenet_v2, resnet18, resnet_cifar, small_cnn, vgg16_bn

__all__ = ["build", "names"]

_MODELS: dict[str, Callable[..., nn.Module]] = {
    "lenet-300-100": lenet_300_100.lenet_300_100,
    "lenet5": lenet5.lenet5,
    "mobilenetv2": mobilenet_v2.mobilenet_v2,
    "resnet18": resnet18.resnet18,
    "resnet20": resnet_cifar.resnet20,
    "resnet56": resnet_cifar.resnet56,
    "small-cnn": small_cnn.small_cnn,
    "vgg16-bn": vgg16_bn.vgg16_bn,
}


def names() -> tuple[str, ...]:
    """Return the names of the built-in networks."""
    return tuple(_MODELS)


def build(
    name: str, *, classes: int, input_shape: tuple[int, ...], width: float = 1.0, **options: Any
) -> nn.Module:
    """Return a new network that fits a task.

    Args:
        name: one of :func:`names`.
        classes: number of logits.
        input_shape: channels, height and width of one input.
        width: multiplies all widths.
        options: those of the network's own function, such as ``shortcut="A"``. Where an option depends on the
            image size and is not given, it is chosen: LeNets get the size, MobileNetV2 its ImageNet strides
            from 64 pixels on.

    Raises:
        UnknownNameError: no such network.
        NetsmithError: the network cannot read such inputs, or the width is not positive.

    Example:
        >>> import torch
        >>> model = build("small-cnn", classes=10, input_shape=(1, 8, 8))
        >>> model(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """
    if name not in _MODELS:
        raise UnknownNameError("model", name, _MODELS)
    if len(input_shape) != 3:
        raise NetsmithError(
            f"model {name!r} reads images, not inputs of shape {input_shape}; give (channels, height, width)"
        )
    channels, *size = input_shape
    if name.startswith("lenet"):
        options = {"size": tuple(size), **options}
    elif name == "mobilenetv2":
        options = {"strides": "imagenet" if min(size) >= 64 else "cifar", **options}
    return _MODELS[name](classes=classes, channels=channels, width=width, **options)
