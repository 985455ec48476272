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
        """Take note of a call: the weight's name, the arguments by name, whether it is a linear layer."""
        raise NotImplementedError

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function is F.linear or function in CONVOLUTIONS:
            given = dict(zip(ORDER, args, strict=False)) | kwargs
            name = self._watched.get(id(given["weight"]))
            if name is not None:
                self.seen(name, given, function is F.linear)
        return function(*args, **kwargs)
