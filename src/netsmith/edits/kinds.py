"""What every kind of edit can do with its records: one table, one line per kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from netsmith.edits import remove as removal
from netsmith.edits.records import Record
from netsmith.errors import EditError


class Kind(NamedTuple):
    """The functions of one kind of edit.

    ``apply(model, record)`` makes the edit on the given model itself; ``invert(model, record, before)`` takes
    it back, ``before`` being a model as it was before the edit with the weights it had then (or None, where
    nobody has it any more). Both may put other submodules into the model but not replace the model itself,
    give tensors new values only by making new tensors, and raise :class:`netsmith.errors.EditError` for what
    does not fit; the caller puts the model back. ``describe(record)`` is one line of text.
    """

    apply: Callable[[nn.Module, Record], None]
    invert: Callable[[nn.Module, Record, nn.Module | None], None]
    describe: Callable[[Record], str]


KINDS: dict[str, Kind] = {
    "remove": Kind(removal.apply_record, removal.invert_record, removal.describe_record),
}


def kind_of(record: Record) -> Kind:
    """Return what can be done with a record.

    Raises:
        EditError: nobody knows its kind.
    """
    name = record.get("kind") if isinstance(record, dict) else None
    if name not in KINDS:
        known = ", ".join(repr(kind) for kind in KINDS)
        raise EditError(f"no edit is of kind {name!r}; known: {known}")
    return KINDS[name]


def describe(record: Record) -> str:
    """Return one line of text that says what an edit did.

    Raises:
        EditError: nobody knows the record's kind.

    Example:
        >>> import torch, netsmith as ns
        >>> net = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.ReLU(), torch.nn.Linear(6, 4))
        >>> [ns.edits.describe(record) for record in ns.records(ns.shrink(net, torch.zeros(1, 8), ratio=0.5))]
        ['remove 3 channels from 0.weight:0']
    """
    return kind_of(record).describe(record)
