"""What a kind of edit has to be able to do with its records."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from netsmith.edits.records import Record


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
