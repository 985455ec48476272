"""Edit records: plain data that says exactly what changed.

A record is a dictionary that survives JSON; ``"kind"`` says which edit made it, and
:mod:`netsmith.edits.kinds` what each kind of record can do. Records are saved beside the weights, can be
replayed on a fresh instance of the original architecture, undone, printed, and followed by an optimiser.
Some entries mean the same in every kind, so that an optimiser's state can follow without knowing the kind:

``tensors``, ``shapes``
    ``{name: {"<dim>": [indices]}}``: the tensor now consists of these indices of what it was, and
    ``{name: [sizes]}`` is the shape it had.
``shares``, ``gradients``
    ``{name: {"<dim>": [factors]}}``: what each of these indices was multiplied with, and what its gradient is
    multiplied with in consequence; 1 where nothing is said.
``renamed``
    ``{old parameter name: new name}``: the same values under another name.
``replaced``
    ``{old parameter name: [new names]}``: the parameter went, fresh ones stand in its place.
"""

from __future__ import annotations

import copy
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

from netsmith.wrappers import unwrapped

Record = dict[str, Any]

# Beside the model, not on it: a shrunk model stays an ordinary module with nothing of ours in its __dict__.
_records: WeakKeyDictionary[nn.Module, list[Record]] = WeakKeyDictionary()


def records(model: nn.Module) -> list[Record]:
    """Return the edits that made a model what it is, oldest first; empty for a model nobody edited."""
    return copy.deepcopy(_records.get(unwrapped(model), []))


def remember(model: nn.Module, past: list[Record], new: list[Record]) -> None:
    """Note the edits a model has been through."""
    _records[model] = [*past, *new]
