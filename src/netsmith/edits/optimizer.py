"""Optimisers that follow an edit: their state goes where the slices of their parameters go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netsmith.edits.following import Following, Slot
from netsmith.edits.move import moves_of
from netsmith.edits.records import Record, records
from netsmith.edits.slicing import tensors_of
from netsmith.errors import EditError
from netsmith.wrappers import network


def rebind(
    optimizer: Optimizer, original: nn.Module, edited: nn.Module, edits: list[Record] | None = None
) -> Optimizer:
    """Make an optimiser of ``original`` go on with ``edited``: same settings, state cut as the weights were.

    The state becomes what it would be had the network always had its present structure:

    - Slices that stay keep their state (moments, averages, factored second moments, matrices over one
      dimension as in Shampoo); the next step is the masked original's.
    - A copy of a split channel has the gradient of the channel times its output share ``s``, so its momentum
      and first moments are multiplied with ``s``, second moments with ``s²`` (an Adam step of the copy is
      that of the channel); what reads copies has the whole gradient, and keeps its state. Fresh channels
      start from zero. States under names that PyTorch's optimisers do not use are copied as they are.
    - Parameters that replace others start without state, in the group of those they replace; further new
      ones in the group of the parameter before them.
    - Edits of ``original`` that ``edited`` does not have were undone, and so is what they did to the state.

    The optimiser is changed in place, and only once everything fits.

    Args:
        optimizer: an optimiser over parameters of ``original``.
        original: the model before the edit (the same object as ``edited`` after an edit in place).
        edited: the model after it.
        edits: the records of the edit; default those that one of the models has and the other has not, or in
            place the newest ones that the state has not followed yet.

    Returns:
        The optimiser.

    Raises:
        EditError: a parameter of the optimiser is not in ``original``, or its state cannot follow.
    """
    original, edited = network(original), network(edited)
    slots = _slots(optimizer, original)
    if original is edited and edits is None:
        past = records(edited)
        followed = _in_place(slots, [past[start:] for start in range(len(past), -1, -1)])
    elif original is edited:
        followed = _in_place(slots, [edits or []])
    else:
        undone, done = ([], edits) if edits is not None else _between(records(original), records(edited))
        followed = Following(slots, list(tensors_of(original)))
        for record in reversed(undone):
            followed.step(record, back=True)
        for record in done:
            followed.step(record, back=False)
        if undone:  # what an edit had added is gone with it
            left = tensors_of(edited)
            followed.slots = [slot for slot in followed.slots if slot.name in left]
    _put(optimizer, followed, edited)
    return optimizer


def _slots(optimizer: Optimizer, original: nn.Module) -> list[Slot]:
    names = {id(tensor): name for name, tensor in tensors_of(original).items()}
    slots = []
    for number, group in enumerate(optimizer.param_groups):
        for parameter in group["params"]:
            if id(parameter) not in names:
                raise EditError(
                    f"the optimiser holds a parameter of shape {tuple(parameter.shape)} that is not in the "
                    "original model; give rebind the model it was made for (an edit that replaces modules in "
                    "place leaves none: make it on a copy)"
                )
            state = optimizer.state.get(parameter)
            slots.append(Slot(names[id(parameter)], list(parameter.shape), number, state))
    return slots


def _between(before: list[Record], after: list[Record]) -> tuple[list[Record], list[Record]]:
    """Return the records that only the first and that only the second of two models has."""
    common = 0
    while common < min(len(before), len(after)) and before[common] == after[common]:
        common += 1
    return before[common:], after[common:]


def _in_place(slots: list[Slot], choices: Iterable[list[Record]]) -> Following:
    """Follow the first of several lists of records that the state has not followed yet."""
    error: EditError | None = None
    for edits in choices:
        followed = Following([Slot(s.name, _before(s, edits), s.group, s.state) for s in slots], [])
        try:
            for record in edits:
                followed.step(record, back=False)
            followed.check_fits()
        except EditError as failed:
            error = failed
            continue
        return followed
    raise error or EditError("there is no edit to follow")


def _before(slot: Slot, edits: list[Record]) -> list[int]:
    shape = list(slot.shape)
    for record in reversed(edits):
        for dim, move in moves_of(record, slot.name, shape).items():
            shape[dim] = move.size
    return shape


def _put(optimizer: Optimizer, followed: Following, edited: nn.Module) -> None:
    """Give an optimiser the parameters and the state that were followed."""
    followed.check_fits()
    target = tensors_of(edited)
    for slot in followed.slots:
        if slot.name not in target or list(target[slot.name].shape) != slot.shape:
            found = f"has shape {tuple(target[slot.name].shape)}" if slot.name in target else "is not there"
            raise EditError(
                f"after the edits {slot.name} should have shape {tuple(slot.shape)} but {found}; "
                "they are not the edits between the two models"
            )
    groups: list[list[Tensor]] = [[] for _ in optimizer.param_groups]
    for slot in followed.slots:
        groups[slot.group].append(target[slot.name])
    for name, group in _fresh(followed, target).items():
        groups[group].append(target[name])
    states = {target[slot.name]: slot.state for slot in followed.slots if slot.state is not None}
    for old in [p for group in optimizer.param_groups for p in group["params"]]:
        optimizer.state.pop(old, None)
    for settings, parameters in zip(optimizer.param_groups, groups, strict=True):
        settings["params"] = parameters
    for parameter, state in states.items():
        optimizer.state[parameter] = {key: _own(value) for key, value in state.items()}


def _fresh(followed: Following, target: dict[str, Tensor]) -> dict[str, int]:
    """Return the groups of parameters that no edit of a parameter of the original led to."""
    group_of = {slot.name: slot.group for slot in followed.slots}
    found: dict[str, int] = {}
    latest: dict[int, int] = {}
    for name, tensor in target.items():
        if name in group_of:
            latest[tensor.dim()] = latest[-1] = group_of[name]
        elif isinstance(tensor, nn.Parameter) and tensor.requires_grad and name not in followed.known:
            if name in followed.heirs:
                found[name] = followed.heirs[name]
            elif followed.known and latest:
                found[name] = latest.get(tensor.dim(), latest[-1])
    return found


def _own(value: Any) -> Any:
    return value.clone(memory_format=torch.preserve_format) if isinstance(value, Tensor) else value
