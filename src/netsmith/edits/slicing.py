"""Cutting tensors along their dimensions, and putting the results into a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from netsmith.edits.copying import copy_with
from netsmith.errors import EditError
from netsmith.graph.anatomy import Anatomy
from netsmith.layers.multihead_attention import MultiheadAttention


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers by name, each shared one once, under its first name."""
    return Anatomy.of(model).tensors


def cut(tensor: Tensor, name: str, cuts: Mapping[int, Any]) -> Tensor:
    """Return a tensor restricted to the kept indices of some dimensions.

    Raises:
        EditError: a dimension or an index the tensor does not have.
    """
    result = tensor.detach()
    for dim, kept in cuts.items():
        index = torch.as_tensor(kept, dtype=torch.long)
        if dim >= tensor.dim() or (len(index) and int(index.max()) >= tensor.shape[dim]):
            largest = int(index.max()) if len(index) else "at all"
            raise EditError(
                f"{name} of shape {tuple(tensor.shape)} has no index {largest} along dimension {dim}; the "
                "record was made on another model"
            )
        result = result.index_select(dim, index.to(tensor.device))
    return result


def apply(
    model: nn.Module,
    anatomy: Anatomy,
    tensors: Mapping[str, Tensor],
    attributes: Mapping[str, Mapping[str, Any]],
    *,
    inplace: bool,
) -> nn.Module:
    """Put new tensors and attributes into a model or a copy of it; nothing changes before all is ready."""
    replaced: dict[int, Tensor] = {}
    own, modules = anatomy.tensors, anatomy.modules
    for name, tensor in tensors.items():
        old = own[name]
        if inplace:
            replaced[id(old)] = tensor
        elif isinstance(old, nn.Parameter):
            replaced[id(old)] = nn.Parameter(tensor, requires_grad=old.requires_grad)
        else:
            replaced[id(old)] = tensor.clone() if tensor is old else tensor
    missing = [path for path in attributes if path not in modules]
    if missing:
        raise EditError(f"the model has no module {missing[0]!r}; the record was made on another model")
    if inplace:
        with torch.no_grad():
            for name in tensors:
                old = own[name]
                old.grad = None
                old.data = replaced[id(old)]
        edited = model
    else:
        edited = copy_with(model, modules.values(), replaced)
    targets = modules if inplace else dict(edited.named_modules())
    for path, values in attributes.items():
        for attribute, value in values.items():
            if isinstance(value, list):  # JSON has no tuples
                now = getattr(targets[path], attribute, ())
                value = value if isinstance(now, list) else tuple(value)
            setattr(targets[path], attribute, value)
        if type(targets[path]) is nn.MultiheadAttention:
            targets[path].__class__ = MultiheadAttention
    return edited


def known(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    """Return a tensor by name.

    Raises:
        EditError: there is none of that name.
    """
    if name not in tensors:
        raise EditError(
            f"the model has no parameter or buffer {name!r}; the record was made on another model"
        )
    return tensors[name]


def noted(
    modules: Mapping[str, nn.Module], attributes: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return the present values of some modules' attributes, by path and name, of those there are.

    Raises:
        EditError: there is no module of that path.
    """
    for path in attributes:
        if path not in modules:
            raise EditError(f"the model has no module {path!r}; the record was made on another model")
    return plain(
        {
            path: {name: getattr(modules[path], name) for name in names if hasattr(modules[path], name)}
            for path, names in attributes.items()
        }
    )


def plain(attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return attributes as JSON has them: lists where there are tuples."""
    return {
        path: {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        for path, values in attributes.items()
    }
