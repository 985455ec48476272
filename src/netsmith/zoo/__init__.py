"""Small reference networks, as their papers give them and at any width.

Each is an ordinary ``nn.Module``, freshly initialised, whose forward pass depends on no number of channels,
so that any of its channels can be cut.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.zoo import (
    bert_small,
    gcn,
    gin,
    gru,
    lenet5,
    lenet_300_100,
    mobilenet_v2,
    resnet18,
    resnet_cifar,
    small_cnn,
    vgg16_bn,
)

__all__ = ["build", "names"]

_MODELS: dict[str, dict[str, Callable[..., nn.Module]]] = {
    "images": {
        "eca-resnet20": resnet_cifar.eca_resnet20,
        "lenet-300-100": lenet_300_100.lenet_300_100,
        "lenet5": lenet5.lenet5,
        "mobilenetv2": mobilenet_v2.mobilenet_v2,
        "resnet18": resnet18.resnet18,
        "resnet20": resnet_cifar.resnet20,
        "resnet56": resnet_cifar.resnet56,
        "small-cnn": small_cnn.small_cnn,
        "vgg16-bn": vgg16_bn.vgg16_bn,
    },
    "tokens": {"bert-small": bert_small.bert_small, "gru": gru.gru},
    "nodes": {"gcn": gcn.gcn},
    "graphs": {"gin": gin.gin},
}


def names(kind: str | None = None) -> tuple[str, ...]:
    """Return the names of the built-in networks, or of those that read one kind of data."""
    return tuple(name for group, models in _MODELS.items() if kind in (None, group) for name in models)


def build(
    name: str,
    *,
    classes: int,
    input_shape: tuple[int, ...],
    width: float = 1.0,
    kind: str = "images",
    **options: Any,
) -> nn.Module:
    """Return a new network that fits a task.

    Args:
        name: one of :func:`names`.
        classes: number of logits; of tokens also how many there are to read.
        input_shape: channels, height and width of one image; the number of features of a node.
        width: multiplies all widths.
        kind: what it reads: ``"images"``, ``"tokens"``, ``"nodes"`` of one graph, or ``"graphs"``.
        options: those of the network's own function, such as ``shortcut="A"``. Where an option depends on the
            image size and is not given, it is chosen: LeNets get the size, MobileNetV2 its ImageNet strides
            from 64 pixels on.

    Raises:
        UnknownNameError: no such network.
        NetsmithError: the network cannot read such inputs, the width is not positive, or a library it needs
            is not installed.

    Example:
        >>> import torch
        >>> model = build("small-cnn", classes=10, input_shape=(1, 8, 8))
        >>> model(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """
    if name not in names():
        raise UnknownNameError("model", name, names())
    reads = next(group for group, models in _MODELS.items() if name in models)
    if reads != kind:
        raise NetsmithError(f"model {name!r} reads {reads}, the data has {kind}; {_fitting(kind)}")
    if kind == "images":
        if len(input_shape) != 3:
            raise NetsmithError(
                f"model {name!r} reads images, not inputs of shape {input_shape}; "
                "give (channels, height, width)"
            )
        options = _of_image(name, input_shape) | options
    elif kind in ("nodes", "graphs"):
        options = {"features": input_shape[0], **options}
    return _MODELS[reads][name](classes=classes, width=width, **options)


def _fitting(kind: str) -> str:
    return f"take {' or '.join(names(kind))}" if names(kind) else "no built-in model does"


def _of_image(name: str, input_shape: tuple[int, ...]) -> dict[str, Any]:
    channels, *size = input_shape
    options: dict[str, Any] = {"channels": channels}
    if name.startswith("lenet"):
        options["size"] = tuple(size)
    elif name == "mobilenetv2":
        options["strides"] = "imagenet" if min(size) >= 64 else "cifar"
    return options
