"""Inputs that are many samples, cut into batches, and a model that is only looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from netsmith.contracts import Inputs


def parts(inputs: Inputs) -> list[Any]:
    """Return the arguments that inputs consist of."""
    return list(
        inputs.values() if isinstance(inputs, dict) else inputs if isinstance(inputs, tuple) else [inputs]
    )


def count(inputs: Inputs) -> int:
    """Return the number of samples: the first dimension of the first tensor that has one."""
    return next((len(part) for part in parts(inputs) if isinstance(part, Tensor) and part.dim()), 0)


def rows(inputs: Inputs, start: int, stop: int) -> Inputs:
    """Return the samples from ``start`` to ``stop``."""

    def cut(part: Any) -> Any:
        return part[start:stop] if isinstance(part, Tensor) and part.dim() else part

    if isinstance(inputs, dict):
        return {name: cut(part) for name, part in inputs.items()}
    return tuple(map(cut, inputs)) if isinstance(inputs, tuple) else cut(inputs)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluating mode; every module's own mode and the random state come back."""
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            model.eval()
            yield
    finally:
        for module, training in modes.items():
            module.training = training
