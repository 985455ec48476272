"""Optimiser state that follows an edit: moments and the like are cut where their parameters were."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netsmith.edits.records import Record, records
from netsmith.edits.slicing import cut, tensors_of
from netsmith.errors import EditError
from netsmith.wrappers import network


def rebind(
    optimizer: Optimizer, original: nn.Module, edited: nn.Module, edits: list[Record] | None = None
) -> Optimizer:
    """Make an optimiser of ``original`` go on with ``edited``: same settings, state cut as the weights were.

    State of a parameter's own shape (momentum, moments, averages) keeps the slices that stayed; scalars such
    as step counts stay. The optimiser is changed in place and only once everything fits.

    Args:
        optimizer: an optimiser over parameters of ``original``.
        original: the model before the edit (the same object as ``edited`` after an edit in place).
        edited: the model after it.
        edits: the records of the edit; default those that ``edited`` has and ``original`` has not.

    Returns:
        The optimiser.

    Raises:
        EditError: a parameter of the optimiser is not in ``original``, or its state cannot follow.
    """
    original, edited = network(original), network(edited)
    if edits is None:
        edits = records(edited) if original is edited else records(edited)[len(records(original)) :]
    names = {id(tensor): name for name, tensor in tensors_of(original).items()}
    target = tensors_of(edited)
    new_of: dict[Tensor, Tensor] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if id(parameter) not in names:
                raise EditError(
                    f"the optimiser holds a parameter of shape {tuple(parameter.shape)} that is not in the "
                    "original model; give rebind the model it was made for"
                )
            new_of[parameter] = target[names[id(parameter)]]
    state = {
        parameter: _follow(dict(optimizer.state[parameter]), names[id(parameter)], new_of[parameter], edits)
        for parameter in new_of
        if parameter in optimizer.state
    }
    for group in optimizer.param_groups:
        group["params"] = [new_of[parameter] for parameter in group["params"]]
    for parameter in state:
        del optimizer.state[parameter]
    for parameter, values in state.items():
        optimizer.state[new_of[parameter]] = values
    return optimizer


def _follow(state: dict[str, Any], name: str, new: Tensor, edits: list[Record]) -> dict[str, Any]:
    followed = {}
    for key, value in state.items():
        if (
            isinstance(value, Tensor)
            and value.dim() == new.dim()
            and value.dim() > 0
            and value.shape != new.shape
        ):
            for edit in edits:
                cuts = {int(dim): kept for dim, kept in edit["tensors"].get(name, {}).items()}
                value = cut(value, f"state {key!r} of {name}", cuts)
            if value.shape != new.shape:
                raise EditError(
                    f"state {key!r} of {name} has shape {tuple(value.shape)} after the edit, the parameter "
                    f"{tuple(new.shape)}; make a new optimiser"
                )
        followed[key] = (
            value.clone(memory_format=torch.preserve_format) if isinstance(value, Tensor) else value
        )
    return followed
