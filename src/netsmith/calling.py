"""Calling a model with its inputs, whatever they are: one tensor, a tuple, or a dict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from netsmith.contracts import Inputs


def call_arguments(inputs: Inputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and keyword arguments that ``inputs`` stands for."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    if isinstance(inputs, tuple):
        return inputs, {}
    return (inputs,), {}


def call(model: nn.Module, inputs: Inputs) -> Any:
    """Return what ``model`` makes of ``inputs``."""
    args, kwargs = call_arguments(inputs)
    return model(*args, **kwargs)


def copied(value: Any) -> Any:
    """Return ``value`` with every tensor in it a copy, for a network that writes into its inputs."""
    return tree_map_only(Tensor, lambda tensor: tensor.detach().clone(), value)


def moved(value: Any, device: torch.device | str | None) -> Any:
    """Return ``value`` with every tensor in it on ``device``."""
    return tree_map_only(Tensor, lambda tensor: tensor.to(device), value)
