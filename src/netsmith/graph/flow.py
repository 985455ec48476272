"""Data flow: which operator made the tensor that another reads, and in which call of which module.

The structure graph says what is coupled; this says who reads what, which is what an edit that replaces whole
modules has to prove. Tensors are numbered by *value*: writing into one gives it, and every view of the same
memory, a new number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor at one moment: its number, shape and data type."""

    number: int
    shape: tuple[int, ...]
    dtype: torch.dtype


@dataclass(frozen=True, eq=False)
class Step:
    """An operator that ran; ``arguments`` and ``keywords`` have values in the place of tensors.

    ``inputs`` are all the values it depends on and ``outputs`` all those it made: the ``operands`` and
    ``results`` of the call, and those that a write into memory changed beside them.
    """

    index: int
    name: str
    function: Any
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    results: tuple[Value, ...]
    overwritten: tuple[Value, ...]
    changed: tuple[Value, ...]

    @cached_property
    def operands(self) -> tuple[Value, ...]:
        """The tensors it was called with, in order."""
        return tuple(values_in((self.arguments, self.keywords)))

    @property
    def inputs(self) -> tuple[Value, ...]:
        """All values it depends on."""
        return (*self.operands, *self.overwritten)

    @property
    def outputs(self) -> tuple[Value, ...]:
        """All values it made."""
        return (*self.results, *self.changed)

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """Return an argument given by position or by name."""
        return (
            self.arguments[position] if len(self.arguments) > position else self.keywords.get(name, default)
        )


@dataclass(eq=False)
class ModuleCall:
    """One call of a module: the steps from ``start`` up to ``stop`` ran inside."""

    path: str
    start: int
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    stop: int = -1
    result: Any = None
    held: tuple[Value, ...] = ()
    """The tensors that objects it was given hold when it is done: caches, say."""

    @property
    def values(self) -> list[Value]:
        """The tensors it was given."""
        return values_in((self.arguments, self.keywords))


@dataclass(eq=False)
class Flow:
    """The steps and module calls of one forward pass in evaluation mode, in order."""

    steps: list[Step] = field(default_factory=list)
    calls: list[ModuleCall] = field(default_factory=list)
    leaves: dict[int, str] = field(default_factory=dict)
    """Names of the parameters and buffers, by value number."""
    outputs: set[int] = field(default_factory=set)
    """Numbers of the values that the model puts out."""

    @cached_property
    def producers(self) -> dict[int, Step]:
        """The step that made each value; inputs, weights and constants have none."""
        return {value.number: step for step in self.steps for value in step.outputs}

    @cached_property
    def readers(self) -> dict[int, list[Step]]:
        """The steps that read each value, in order."""
        found: dict[int, list[Step]] = {}
        for step in self.steps:
            for number in dict.fromkeys(value.number for value in step.inputs):
                found.setdefault(number, []).append(step)
        return found

    @cached_property
    def calls_of(self) -> dict[str, list[ModuleCall]]:
        """The calls of each module that ran, by path."""
        found: dict[str, list[ModuleCall]] = {}
        for call in self.calls:
            found.setdefault(call.path, []).append(call)
        return found

    def inside(self, call: ModuleCall) -> list[Step]:
        """Return the steps of a call."""
        return self.steps[call.start : call.stop]

    def only_reader(self, value: Value) -> Step | None:
        """Return the one step that reads a value, if there is one and the model does not put it out."""
        steps = self.readers.get(value.number, [])
        return steps[0] if len(steps) == 1 and value.number not in self.outputs else None


def values_in(tree: Any) -> list[Value]:
    """Return the values of nested arguments or results."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Value)]
