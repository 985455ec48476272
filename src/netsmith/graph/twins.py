"""The functions of PyTorch whose operators take the same arguments in the same order.

A program (an exported graph) calls operators where a model's code calls functions; what is known of the sizes
a function is given holds for its operator.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._ops import OpOverload

METHODS = (
    "view", "reshape", "expand", "repeat", "unflatten", "split", "narrow", "size",
    "new_zeros", "new_ones", "new_empty", "new_full", "mul", "div", "add", "sub", "pow",
)  # fmt: skip
MAKERS = ("zeros", "ones", "empty", "full")
LAYERS = (
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "group_norm", "layer_norm", "rms_norm", "scaled_dot_product_attention", "one_hot",
)  # fmt: skip
TWINS: dict[str, Any] = {
    **{name: getattr(Tensor, name) for name in METHODS},
    **{name: getattr(torch, name) for name in MAKERS},
    **{name: getattr(F, name) for name in LAYERS},
    "split_with_sizes": Tensor.split,
}


def twin(function: Any) -> Any:
    """Return the function that an ATen operator does the work of; anything else is its own twin."""
    return _twin(function) if isinstance(function, OpOverload) else function


@cache
def _twin(operator: OpOverload) -> Any:
    return TWINS.get(operator.overloadpacket.__name__, operator) if operator.namespace == "aten" else operator
