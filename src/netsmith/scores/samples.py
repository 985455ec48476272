"""Inputs that are many samples, cut into batches."""

from __future__ import annotations

from typing import Any

from torch import Tensor

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
