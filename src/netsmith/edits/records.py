"""Edit records: plain data that says exactly what changed.

A record of a removal is
``{"kind": "remove", "tensors": {name: {"<dim>": [kept indices]}}, "attributes": {module path: {attribute:
new value}}, "groups": {group name: [removed channels]}}``; it survives JSON, is saved beside the weights and
can be replayed on a fresh instance of the original architecture.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from netsmith.edits.copying import copy_with
from netsmith.errors import EditError
from netsmith.graph.anatomy import Anatomy
from netsmith.layers.multihead_attention import MultiheadAttention

Record = dict[str, Any]

# Beside the model, not on it: a shrunk model stays an ordinary module with nothing of ours in its __dict__.
_records: WeakKeyDictionary[nn.Module, list[Record]] = WeakKeyDictionary()


def records(model: nn.Module) -> list[Record]:
    """Return the edits that made a model what it is, oldest first; empty for a model nobody edited."""
    return copy.deepcopy(_records.get(model, []))


def remember(model: nn.Module, past: list[Record], new: list[Record]) -> None:
    """Note the edits a model has been through."""
    _records[model] = [*past, *new]


def replay(model: nn.Module, edits: list[Record], *, inplace: bool = False) -> nn.Module:
    """Apply recorded edits to a fresh instance of the architecture they were made on.

    Args:
        model: the original architecture, with any weights.
        edits: records, for instance from :func:`records` or a loaded file.
        inplace: edit ``model`` itself instead of a copy.

    Returns:
        The edited model; ``model`` itself is untouched unless ``inplace``.

    Raises:
        EditError: a record that does not fit this model; nothing has been changed.
    """
    anatomy = Anatomy.of(model)
    own = anatomy.tensors
    sliced = dict(own)
    attributes: dict[str, dict[str, Any]] = {}
    for edit in edits:
        _check_kind(edit)
        for name, cuts in edit["tensors"].items():
            sliced[name] = cut(_known(sliced, name), name, {int(dim): kept for dim, kept in cuts.items()})
        for path, values in edit["attributes"].items():
            attributes.setdefault(path, {}).update(values)
    changed = {name: tensor for name, tensor in sliced.items() if tensor is not own[name]}
    edited = apply(model, anatomy, changed, attributes, inplace=inplace)
    remember(edited, records(model), copy.deepcopy(edits))
    return edited


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
            setattr(targets[path], attribute, tuple(value) if isinstance(value, list) else value)
        if type(targets[path]) is nn.MultiheadAttention:
            targets[path].__class__ = MultiheadAttention
    return edited


def _known(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in tensors:
        raise EditError(
            f"the model has no parameter or buffer {name!r}; the record was made on another model"
        )
    return tensors[name]


def _check_kind(edit: Record) -> None:
    if edit.get("kind") != "remove" or not isinstance(edit.get("tensors"), dict):
        raise EditError(f"cannot replay an edit of kind {edit.get('kind')!r}; known: 'remove'")
    edit.setdefault("attributes", {})
