"""Tensors of a model that cannot be sliced: packed, quantised, sparse, or owned by compiled code."""

from __future__ import annotations

import torch
from torch import Tensor

from netsmith.graph.anatomy import Anatomy


def uncuttable(anatomy: Anatomy) -> dict[str, str]:
    """Return, by name, why a tensor stays as it is; what can be sliced is not in it."""
    found = {}
    for name, tensor in anatomy.tensors.items():
        reason = _why(tensor)
        if reason is not None:
            found[name] = reason
    for path, module in anatomy.modules.items():
        if isinstance(module, torch.jit.ScriptModule):
            within = f"{path}." if path else ""
            reason = f"compiled by torch.jit with module {path!r}" if path else "compiled by torch.jit"
            found |= {name: reason for name in anatomy.tensors if name.startswith(within)}
    return found


def _why(tensor: Tensor) -> str | None:
    if tensor.is_quantized:
        return "its values are quantised"
    if tensor.layout != torch.strided:
        return f"its values are stored sparsely ({str(tensor.layout).removeprefix('torch.')})"
    # A subclass that only adds methods keeps its values where any tensor does; one that dispatches may not.
    packs = getattr(type(tensor), "__torch_dispatch__", None) not in (
        None,
        torch._C._disabled_torch_dispatch_impl,
    )
    return f"its values are packed as {type(tensor).__name__}" if packs else None
