"""The functions an attribute in a file may name.

torch.nn.functional's own, torch.fft's, and those of torch that are tensor methods too: they only compute on
tensors, none opens a file, imports or calls back. Anything wider (``torch.load``,
``os.system``) would let a file run code.
"""

from __future__ import annotations

import types
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def _functions() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in vars(torch).items():
        if isinstance(value, types.BuiltinFunctionType) and hasattr(Tensor, name):
            found[f"torch:{name}"] = value
    for name, value in vars(torch.fft).items():
        if isinstance(value, types.BuiltinFunctionType):
            found[f"torch.fft:{name}"] = value
    for name, value in vars(F).items():
        native = isinstance(value, types.BuiltinFunctionType)
        dispatched = getattr(value, "__qualname__", "").startswith("boolean_dispatch.<locals>")
        written = isinstance(value, types.FunctionType) and value.__module__ == F.__name__
        if native or dispatched or written:
            found[f"torch.nn.functional:{name}"] = value
    return {name: value for name, value in found.items() if not name.partition(":")[2].startswith("_")}


FUNCTIONS = _functions()
FUNCTION_NAMES = {id(value): name for name, value in FUNCTIONS.items()}
