"""Which tensors of a model a penalty acts on."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from netsmith.errors import NetsmithError
from netsmith.wrappers import unwrapped

Select = Callable[[str, Tensor], bool]
"""A filter over ``model.named_parameters()``: ``(name, parameter) -> bool``."""

HALF = (torch.float16, torch.bfloat16)


def weights(name: str, parameter: Tensor) -> bool:
    """Select weight tensors (two dimensions or more): neither biases nor the scales of normalisations."""
    return parameter.dim() >= 2 and parameter.is_floating_point()


def selected(model: nn.Module, select: Select) -> list[Tensor]:
    """Return the parameters of ``model`` that ``select`` takes, those in half precision as float32.

    Raises:
        NetsmithError: nothing was selected, so the penalty would silently be zero.
    """
    model = unwrapped(model)
    found = [widened(tensor) for name, tensor in model.named_parameters() if select(name, tensor)]
    if not found:
        have = ", ".join(name for name, _ in model.named_parameters()) or "none"
        raise NetsmithError(
            f"no parameter of {type(model).__name__} was selected (it has: {have:.200}); expected one "
            "or more: pass select=lambda name, tensor: ... that takes what is to be penalised"
        )
    return found


def widened(tensor: Tensor) -> Tensor:
    """Return the tensor in float32 when it is in half precision, as it is otherwise."""
    return tensor.float() if tensor.dtype in HALF else tensor


def checked_strength(strength: float) -> float:
    """Return ``strength`` when it can weigh a penalty: finite and not negative.

    Raises:
        NetsmithError: it is negative, infinite or not a number.
    """
    if not math.isfinite(strength) or strength < 0:
        raise NetsmithError(
            f"strength is {strength!r}; expected a finite number >= 0: 0 switches the penalty off"
        )
    return float(strength)
