"""Doing recorded edits again, on a fresh instance of the architecture they were made on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

from torch import nn

from netsmith.edits.copying import copy_with
from netsmith.edits.kinds import kind_of
from netsmith.edits.records import Record, records, remember
from netsmith.edits.transaction import all_or_nothing
from netsmith.errors import EditError
from netsmith.wrappers import network

MALFORMED = (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError)
"""What a record raises that was made on another model, or was tampered with."""


def replay(model: nn.Module, edits: Iterable[Record], *, inplace: bool = False) -> nn.Module:
    """Apply recorded edits, one after the other, to a fresh instance of the architecture they were made on.

    Args:
        model: the original architecture, with any weights.
        edits: records, for instance from :func:`records` or a loaded file.
        inplace: edit ``model`` itself instead of a copy.

    Returns:
        The edited model; ``model`` itself is untouched unless ``inplace``.

    Raises:
        EditError: a record that does not fit this model; nothing has been changed.
    """
    model = network(model)
    new, past = copy.deepcopy(list(edits)), records(model)
    steps = [(record, kind_of(record).apply) for record in new]
    edited = model if inplace else copy_with(model, model.modules(), {})
    with all_or_nothing(edited):
        for number, (record, apply) in enumerate(steps):
            fitting(apply, edited, record, number)
    remember(edited, past, new)
    return edited


def fitting(
    function: Callable[..., None], model: nn.Module, record: Record, number: int, *more: nn.Module | None
) -> None:
    """Let a kind's function work on a model; whatever it trips over is said in one line.

    Raises:
        EditError: the record does not fit the model.
    """
    try:
        function(model, record, *more)
    except MALFORMED as error:
        raise EditError(
            f"record {number} ({record['kind']}) does not fit this model "
            f"({type(error).__name__}: {(str(error).splitlines() or [''])[0]}); it was made on another one"
        ) from error
