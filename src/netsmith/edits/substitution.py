"""Putting one module in the place of another: what edits that replace modules share."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from netsmith.edits.copying import copy_with
from netsmith.edits.records import Record, records, remember
from netsmith.edits.transaction import all_or_nothing
from netsmith.errors import EditError


def carry_out(
    model: nn.Module, record: Record, apply: Callable[[nn.Module, Record], None], *, inplace: bool
) -> tuple[nn.Module, list[Record]]:
    """Apply a new record to a model or a copy of it; return the edited model and its records."""
    past = records(model)
    edited = model if inplace else copy_with(model, model.modules(), {})
    with all_or_nothing(edited):
        apply(edited, record)
    remember(edited, past, [copy.deepcopy(record)])
    return edited, [record]


def module_at(model: nn.Module, path: str) -> nn.Module:
    """Return the module at a path.

    Raises:
        EditError: there is none, or the path is the model itself, in whose place nothing can be put.
    """
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if not path or path not in modules:
        name = repr(path) if path else "the model itself"
        raise EditError(f"expected the path of a module inside the model, got {name}")
    return modules[path]


def check_plain(path: str, module: nn.Module) -> None:
    """Refuse a module that another cannot stand for.

    Raises:
        EditError: it has hooks or parametrizations.
    """
    if parametrize.is_parametrized(module):
        raise EditError(f"module {path!r} is parametrized; remove_parametrizations first")
    if any((module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)):
        raise EditError(f"module {path!r} has hooks, which would be lost; remove them first")


def check_unshared(model: nn.Module, path: str, module: nn.Module) -> None:
    """Refuse a module of which another one holds a parameter too.

    Raises:
        EditError: names the other module.
    """
    inside = {id(part) for part in module.modules()}
    own = {id(parameter) for parameter in module.parameters()}
    for name, other in model.named_modules():
        if id(other) not in inside and any(id(p) in own for p in other.parameters(recurse=False)):
            raise EditError(f"module {path!r} shares a parameter with {name or 'the model'}; untie it first")


def put(model: nn.Module, path: str, new: nn.Module) -> nn.Module:
    """Put a module in the place of the one at ``path``, wherever the model holds that; return the old one."""
    old = module_at(model, path)
    new.train(old.training)
    for parent in list(model.modules()):
        if parent is new:
            continue
        for name, child in parent._modules.items():
            if child is old:
                parent._modules[name] = new
        for name, value in vars(parent).items():
            if name[:1] != "_" and type(value) in (list, tuple, dict):
                parent.__dict__[name] = _swapped(value, old, new)
    return old


def _swapped(value: Any, old: nn.Module, new: nn.Module) -> Any:
    """Modules are also kept in plain containers, beside the registered ones."""
    if isinstance(value, dict):
        held = any(item is old for item in value.values())
        return {k: new if item is old else item for k, item in value.items()} if held else value
    held = any(item is old for item in value)
    return type(value)(new if item is old else item for item in value) if held else value


def parameter_like(values: Tensor, like: Tensor) -> nn.Parameter:
    """Return a parameter with the data type, device and ``requires_grad`` of another."""
    return nn.Parameter(_plain(values.detach().to(like.device, like.dtype)), requires_grad=like.requires_grad)


def give(module: nn.Module, name: str, values: Tensor) -> None:
    """Give a parameter new values in a new tensor; it stays the same object for an optimiser."""
    parameter = getattr(module, name)
    parameter.grad = None
    parameter.data = _plain(values.detach().to(parameter.device, parameter.dtype))


def _plain(values: Tensor) -> Tensor:
    # Not contiguous(): what counts as that can have odd strides where a dimension has size one.
    return values.clone(memory_format=torch.contiguous_format)


def names_below(path: str, module: nn.Module) -> list[str]:
    """Return the full names of a module's parameters."""
    return [f"{path}.{name}" for name, _ in module.named_parameters()]


def bring_back(model: nn.Module, before: nn.Module | None, paths: Iterable[str]) -> None:
    """Put modules back as they were before an edit.

    Raises:
        EditError: nobody has the model as it was.
    """
    if before is None:
        raise EditError("this edit is undone from the weights before it; give the original model")
    for path in paths:
        put(model, path, copy.deepcopy(module_at(before, path)))


@torch.no_grad()
def double(tensor: Tensor) -> Tensor:
    """Return a tensor in double precision, detached."""
    return tensor.detach().double()
