"""Cutting tensors along their dimensions, and putting the results into a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from netsmith.edits.copying import copy_with
from netsmith.edits.held import held, put
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
    check_cuts(tensor, name, cuts)
    result = tensor.detach()
    for dim, kept in cuts.items():
        result = result.index_select(dim, torch.as_tensor(kept, dtype=torch.long, device=tensor.device))
    return result


def check_cuts(tensor: Tensor, name: str, cuts: Mapping[int, Any]) -> None:
    """Check that a tensor has the dimensions and indices that are to stay.

    Raises:
        EditError: it has not.
    """
    for dim, kept in cuts.items():
        largest = int(max(kept)) if len(kept) else "at all"
        if dim >= tensor.dim() or (isinstance(largest, int) and largest >= tensor.shape[dim]):
            raise EditError(
                f"{name} of shape {tuple(tensor.shape)} has no index {largest} along dimension {dim}; the "
                "record was made on another model"
            )


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
    mend(modules if inplace else dict(edited.named_modules()), attributes)
    return edited


def mend(modules: Mapping[str, nn.Module], attributes: Mapping[str, Mapping[str, Any]]) -> None:
    """Give modules, by path, the attributes that follow from new shapes."""
    for path, values in attributes.items():
        for attribute, value in values.items():
            if isinstance(value, list):  # JSON has no tuples
                now = held(modules[path], attribute)
                value = value if isinstance(now, list) else tuple(value)
            put(modules[path], attribute, value)
        if type(modules[path]) is nn.MultiheadAttention:
            modules[path].__class__ = MultiheadAttention


def drop_new(
    modules: Mapping[str, nn.Module],
    attributes: Mapping[str, Mapping[str, Any]],
    before: Mapping[str, Mapping[str, Any]],
) -> None:
    """Take attributes away from modules that had none of the name before they were mended."""
    for path, values in attributes.items():
        module = modules[path]
        new = [name for name in values if name not in before.get(path, {}) and name in vars(module)]
        for name in new:
            delattr(module, name)
        if type(module) is MultiheadAttention and "scale" in new:  # it became one of ours by being mended
            object.__setattr__(module, "__class__", nn.MultiheadAttention)


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
            path: {name: value for name in names if (value := held(modules[path], name)) is not None}
            for path, names in attributes.items()
        }
    )


def plain(attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return attributes as JSON has them: lists where there are tuples."""
    return {
        path: {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        for path, values in attributes.items()
    }
