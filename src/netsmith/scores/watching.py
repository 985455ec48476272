"""Watching linear layers and convolutions at work, also where the code calls them as functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

CONVOLUTIONS = (torch.conv1d, torch.conv2d, torch.conv3d)
ORDER = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")


class Watch(TorchFunctionMode):
    """Calls :meth:`seen` for every linear layer and convolution of a weight it knows, while it is active.

    Args:
        weights: by name, those to watch.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._watched = {id(weight): name for name, weight in weights.items()}

    def seen(self, name: str, given: Mapping[str, Any], linear: bool) -> None:
        """Take note of a call before it is made: the weight's name, the arguments by name, its kind."""

    def gave(self, name: str, given: Mapping[str, Any], linear: bool, output: Tensor) -> None:
        """Take note of the same call after it was made, with what it gave."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function is F.linear or function in CONVOLUTIONS:
            given = dict(zip(ORDER, args, strict=False)) | kwargs
            name = self._watched.get(id(given["weight"]))
            if name is not None:
                self.seen(name, given, function is F.linear)
                output = function(*args, **kwargs)
                self.gave(name, given, function is F.linear, output)
                return output
        return function(*args, **kwargs)


def padded(given: Mapping[str, Any]) -> Tensor:
    """Return what a convolution reads, ``[samples, channels, *positions]``, with the zeros around it."""
    read, weight = given["input"], given["weight"]
    if read.dim() < weight.dim():
        read = read.unsqueeze(0)
    extents, padding = weight.shape[2:], given.get("padding", 0)
    dilation = each(given.get("dilation", 1), len(extents))
    sides: list[int] = []
    for axis in reversed(range(len(extents))):
        if padding == "same":
            both = dilation[axis] * (extents[axis] - 1)
            sides += [both // 2, both - both // 2]
        else:
            sides += [0 if padding == "valid" else each(padding, len(extents))[axis]] * 2
    return F.pad(read, sides)


def each(value: Any, count: int) -> list[int]:
    """Return a setting of a convolution for each of its dimensions."""
    return [value] * count if isinstance(value, int) else [*value] * (count // len(value))
