"""Sizes that modules keep beside their weights, brought in line with them.

``torch.nn`` modules remember the sizes they were made with, and some use them in the forward pass
(``groups``, ``normalized_shape``). Their new values follow from the new shapes, or from the integer that the
module handed to an operator while it was traced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from netsmith.graph import Operation, StructureGraph

Shapes = Callable[[str], tuple[int, ...] | None]


def mended(
    model: nn.Module, graph: StructureGraph, alive: NDArray[np.bool_], changed: Mapping[str, tuple[int, ...]]
) -> dict[str, dict[str, Any]]:
    """Return, per module path, the attributes that must change with the new shapes."""
    by_module: dict[str, Operation] = {}
    for operation in graph.operations:
        if operation.constants or operation.widths:
            by_module.setdefault(operation.module, operation)
    found: dict[str, dict[str, Any]] = {}
    for path, module in model.named_modules():
        operation = by_module.get(path)
        widths = {k: graph.width(d, alive) for k, d in operation.widths.items()} if operation else {}
        constants = {k: graph.width(d, alive) for k, d in operation.constants.items()} if operation else {}
        new = _attributes(module, _Shapes(module, path, changed), widths, constants)
        different = {name: value for name, value in new.items() if getattr(module, name) != value}
        if different:
            found[path] = different
    return found


class _Shapes:
    """The shapes a module's own tensors will have; ``None`` where it has no such tensor."""

    def __init__(self, module: nn.Module, path: str, changed: Mapping[str, tuple[int, ...]]) -> None:
        self._module = module
        self._prefix = f"{path}." if path else ""
        self._changed = changed

    def __call__(self, name: str) -> tuple[int, ...] | None:
        tensor = getattr(self._module, name, None)
        if tensor is None:
            return None
        return self._changed.get(self._prefix + name, tuple(tensor.shape))


def _attributes(
    module: nn.Module, shape: Shapes, widths: dict[str, int], constants: dict[str, int]
) -> dict[str, Any]:
    """Return the values the size attributes of a ``torch.nn`` module should have."""
    if isinstance(module, _ConvNd):
        groups = constants.get("groups", module.groups)
        weight = shape("weight") or ()
        own = (
            (weight[1] * groups, weight[0])
            if not isinstance(module, _ConvTransposeNd)
            else (weight[0], weight[1] * groups)
        )
        return {
            "in_channels": widths.get("in", own[0]),
            "out_channels": widths.get("out", own[1]),
            "groups": groups,
        }
    if isinstance(module, nn.Linear):
        weight = shape("weight") or ()
        return {"in_features": widths.get("in", weight[1]), "out_features": widths.get("out", weight[0])}
    if isinstance(module, _NormBase):
        vector = shape("weight") or shape("running_mean")
        return {"num_features": vector[0]} if vector else {}
    if isinstance(module, nn.GroupNorm):
        vector = shape("weight")
        channels = vector[0] if vector else module.num_channels
        return {"num_groups": constants.get("groups", module.num_groups), "num_channels": channels}
    if isinstance(module, (nn.LayerNorm, nn.RMSNorm)):
        positions = range(len(module.normalized_shape))
        weight = shape("weight")
        traced = tuple(constants.get(f"normalized_shape.{i}", module.normalized_shape[i]) for i in positions)
        return {"normalized_shape": weight or traced}
    if isinstance(module, nn.PReLU):
        return {"num_parameters": (shape("weight") or (1,))[0]}
    if isinstance(module, nn.Embedding):
        weight = shape("weight") or ()
        return {"num_embeddings": weight[0], "embedding_dim": weight[1]}
    return {}
