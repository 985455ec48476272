"""Values that stay known while a network runs on ``meta``: whatever no weight has a part in.

Inputs, integer buffers and counted positions keep their values until they meet a weight, so that control flow
that asks them (is anything masked, which tokens are padding) runs as it would, with nothing of the network
computed or allocated.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

COUNTED = frozenset({"arange", "linspace", "eye", "tril_indices", "triu_indices", "scalar_tensor"})
"""Operators that make a tensor whose values follow from its size."""


class UnknownValueError(RuntimeError):
    """Something that a weight has a part in was written into a tensor of known values."""


def placed(
    function: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[Tensor], home: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments to call an operator with, such that they are all on one device.

    ``home`` is the device of what has values. Asking for something known on ``meta`` leaves it known.

    Raises:
        UnknownValueError: the operator writes unknown values into a tensor of known ones.
    """
    unknown = [tensor.is_meta for tensor in tensors]
    if all(unknown) and (unknown or name not in COUNTED):
        return args, kwargs
    if not any(unknown):
        to_meta = kwargs.get("device") is not None and kwargs["device"].type == "meta"
        if to_meta and (unknown or name in COUNTED):
            kwargs = {**kwargs, "device": home}
        return args, kwargs
    if function._schema.is_mutable and isinstance(args[0], Tensor) and not args[0].is_meta:
        raise UnknownValueError(f"{name} writes into a tensor of known values")
    return tuple(map(_forgotten, args)), {key: _forgotten(value) for key, value in kwargs.items()}


def _forgotten(value: Any) -> Any:
    if isinstance(value, Tensor):
        if value.is_meta:
            return value
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
    if isinstance(value, (list, tuple)) and any(isinstance(item, Tensor) for item in value):
        return type(value)(map(_forgotten, value))
    return value
