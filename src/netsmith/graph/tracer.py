"""Runs a model once and watches every operator that executes beneath it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from netsmith.graph.anatomy import Anatomy
from netsmith.graph.axes import Axes, Constraints, Dim, Leaf, fixed
from netsmith.graph.known_values import placed
from netsmith.graph.operation import Operation, Read
from netsmith.graph.own_rules import OwnRules
from netsmith.graph.pointers import Pointers
from netsmith.graph.sizes import FITTED, WRITTEN, Derived, Requirement, Source, TracedInt
from netsmith.graph.stand_ins import stand_in
from netsmith.graph.traced_attributes import is_torch_module
from netsmith.layers.multihead_attention import MultiheadAttention

FROM_INPUT = "a dimension of the model's input"
FROM_OUTPUT = "a dimension of the model's output"
BROADCAST = "a broadcast dimension"
MADE_HERE = "a dimension of a tensor made in the forward pass"
FROM_CONSTANT = "a dimension of a tensor that is neither a parameter nor a buffer"


@dataclass
class Call:
    """An operator call as a rule sees it."""

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any
    operation: Operation
    tensors: list[Tensor]
    """The tensor arguments in order, also those inside lists."""

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """Return an argument given by position or by name."""
        if len(self.args) > position:
            return self.args[position]
        return self.kwargs.get(name, default)


class Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows the axes of every tensor through every operator; rules do their part on this object."""

    def __init__(
        self,
        rules: Mapping[str, Callable[[Tracer, Call], Any]],
        fallback: Any,
        anatomy: Anatomy,
        own: OwnRules,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.anatomy = anatomy
        self.own = own
        self.home: torch.device | None = None
        """On ``meta``, the device of what has values all the same."""
        self.watching = True
        self.dispatching = False
        self.module_names = {id(module): name for name, module in anatomy.modules.items()}
        self.constraints = Constraints()
        self.operations: list[Operation] = []
        self.leaves: dict[Leaf, Dim] = {}
        self.used: set[str] = set()
        self.requirements: list[Requirement] = []
        self.valued: list[Source] = []
        self.derived: list[Derived] = []
        self.compared: list[tuple[Source, Source]] = []
        self.taken: dict[int, tuple[Dim, NDArray[np.bool_]]] = {}
        """Dimensions that were sliced, with the indices that were taken."""
        self.apart: list[tuple[Source, Source]] = []
        self.watches_objects = True
        self.objects_written = False
        self.given: dict[Any, Any] = {}
        self.contracted: set[Leaf] = set()
        self.produced: set[Leaf] = set()
        self.pointers = Pointers()
        self._rules = rules
        self._fallback = fallback
        self._module_stack: list[str] = [""]
        self._in_torch_module: list[bool] = [False]
        self._axes: dict[int, tuple[Tensor, Axes]] = {}
        self._positions: dict[int, tuple[Tensor, Dim, str]] = {}
        self._leaf_names: dict[int, str] = {}
        self._maker: dict[int, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # The wrapper that keeps torch.compile out would import all of it at the first operator.
        return False

    # What rules use -------------------------------------------------------------------------------------

    def axes(self, tensor: Tensor) -> Axes:
        """Return what the dimensions of a tensor are made of."""
        if id(tensor) in self._positions:
            _, axis, reason = self._positions.pop(id(tensor))
            self.freeze(axis, reason)
        known = self._axes.get(id(tensor))
        if known is not None:
            return known[1]
        return self.assign(tensor, tuple(fixed(size, FROM_CONSTANT) for size in tensor.shape))

    def assign(self, tensor: Tensor, axes: Axes) -> Axes:
        """Say what the dimensions of a tensor are made of."""
        self._axes[id(tensor)] = (tensor, axes)
        return axes

    def holds_positions(self, tensor: Tensor, axis: Dim, reason: str) -> None:
        """A tensor holds positions along a dimension, which therefore stays if anything ever reads them."""
        self._positions[id(tensor)] = (tensor, axis, reason)

    def equate(self, first: Dim, second: Dim) -> Dim:
        """Two dimensions keep the same indices."""
        return self.constraints.equate(first, second)

    def freeze(self, dim: Dim, reason: str) -> Dim:
        """No index of a dimension may go; returns the dimension as fixed."""
        if not dim.owners:
            return dim
        self.constraints.freeze(dim, reason)
        return fixed(dim.size, reason)

    def factor(self, dim: Dim, sizes: list[int]) -> Axes:
        """Split a dimension row-major into factors."""
        return self.constraints.factor(dim, sizes)

    def sized_by_code(self, axis: Dim, slot: Hashable) -> Dim:
        """Check a dimension against the size the code gave for it: it follows, or it is frozen.

        ``slot`` is the position or name under which the size was given. A size that PyTorch worked out
        itself (``-1``, a flatten) follows; so does one a ``torch.nn`` module keeps, which is mended.
        """
        value = self.given.get(slot)
        if isinstance(value, TracedInt):
            # Also where the axis is fixed, for then so is what the size was computed from.
            self.size_follows(value, axis)
            return axis
        if not axis.owners or value is None or value == -1:
            return axis
        if self._in_torch_module[-1]:  # its attributes are mended, or it is frozen as a whole
            return axis
        return self.freeze(axis, WRITTEN)

    def shaped_by_code(self, tensor: Tensor) -> None:
        """Check the last dimensions of a tensor against the normalised shape that the code gave."""
        count = sum(isinstance(slot, str) and slot.startswith("normalized_shape.") for slot in self.given)
        for position, axis in enumerate(self.axes(tensor)[-count:]):
            self.sized_by_code(axis, f"normalized_shape.{position}")

    def take(self, axis: Dim, where: slice) -> None:
        """Note that a slice takes these indices of a dimension; those that none takes will stay."""
        if axis.owners:
            self.taken.setdefault(id(axis), (axis, np.zeros(axis.size, dtype=bool)))[1][where] = True

    def size_follows(self, size: TracedInt, axis: Dim) -> None:
        """Note that a size the code computed is that of a dimension."""
        self.requirements.append(Requirement(size.source, axis, self._module_stack[-1]))

    def found_different(self, one: Source, other: Source) -> None:
        """The code compared two sizes and they were different: it goes another way when they are not."""
        self.apart.append((one, other))

    def found_equal(self, one: Source, other: Source) -> None:
        """The code compared two sizes and they were equal: they stay so."""
        if isinstance(one, int) or isinstance(other, int):
            # What modules of torch.nn compare is an attribute that is mended, never a number of their own.
            if not self._in_torch_module[-1]:
                self.compared.append((one, other))
            return
        self.compared.append((one, other))
        for source, axis in ((one, other), (other, one)):
            if isinstance(axis, Dim) and not isinstance(source, Dim):
                self.requirements.append(Requirement(source, axis, self._module_stack[-1]))

    def broadcast_here(self, size: int, slot: int) -> Dim:
        """Return a dimension that a single index is repeated along: as long as what it was fitted to."""
        value = self.given.get(slot)
        if value is None:  # fitted by PyTorch, as ``expand_as`` does
            return self.constraints.fresh(size)
        return self.made_here(size, slot) if isinstance(value, TracedInt) else fixed(size, BROADCAST)

    def made_here(self, size: int, slot: int) -> Dim:
        """Return a dimension of a new tensor: it follows the size it was made from, if that was computed."""
        value = self.given.get(slot)
        if isinstance(value, TracedInt) and isinstance(value.source, Dim):
            return Dim(size, value.source.owners, value.source.reason, value.source.parts)
        if isinstance(value, TracedInt) or (value is not None and self._in_torch_module[-1]):
            return self.sized_by_code(self.constraints.fresh(size), slot)
        if value is None and FITTED in self.given:
            return self.constraints.fresh(size)
        return fixed(size, MADE_HERE)

    def read(self, call: Call, tensor: Tensor, dim: int, *, statistic: bool = False) -> None:
        """Record that an operator reads all of a dimension of one of its arguments."""
        axis = self.axes(tensor)[dim]
        if not axis.owners:
            return
        position = next(i for i, argument in enumerate(call.tensors) if argument is tensor)
        call.operation.reads.append(Read(position, dim, axis, statistic))

    def contract(self, leaf: Leaf | None) -> None:
        """Note that a parameter dimension is summed over."""
        if leaf is not None:
            self.contracted.add(leaf)

    def produce(self, leaf: Leaf | None) -> None:
        """Note that a parameter dimension makes channels."""
        if leaf is not None:
            self.produced.add(leaf)

    def made_by_a_weight(self, dim: Dim) -> bool:
        """Whether the channels of a dimension are, as they stand, those that a contraction's weight makes."""
        if len(dim.owners) != 1:
            return False
        made = (self.leaves[leaf].owners for leaf in self.produced)
        return any(owners and owners[0] is dim.owners[0] for owners in made)

    def values_read(self, tensor: Tensor) -> None:
        """Python reads the values of a tensor: the positions it may hold are known there."""
        axis = self.pointers.of(tensor)
        if axis is not None:
            self.freeze(axis, "the code reads positions along it")

    # How it is run --------------------------------------------------------------------------------------

    def add_leaf(self, name: str, tensor: Tensor) -> None:
        """Give a parameter or buffer fresh elements, the same ones under every trace."""
        self._leaf_names[id(tensor)] = name
        if Leaf(name, 0) not in self.leaves:
            for dim, size in enumerate(tensor.shape):
                leaf = Leaf(name, dim)
                self.leaves[leaf] = self.constraints.fresh(size, leaf)
        self.assign(tensor, tuple(self.leaves[Leaf(name, dim)] for dim in range(tensor.dim())))

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if not self.watching:
            return function(*args, **(kwargs or {}))
        self.dispatching = True
        try:
            return self._dispatched(function, args, kwargs or {})
        finally:
            self.dispatching = False

    def _dispatched(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        packet = function.overloadpacket
        operation = Operation(len(self.operations), operator_name(packet), self._module_stack[-1])
        if operation.name == "as_strided_":  # afterwards nobody could tell
            operation.geometry["strides"] = args[0].stride()
        arguments = tensor_arguments(args, kwargs)
        args_, kwargs_ = args, kwargs
        if self.home is not None:
            args_, kwargs_ = placed(function, operation.name, args, kwargs, arguments, self.home)
        output = stand_in(operation.name, args_, kwargs_)
        if output is None:
            output = function(*args_, **kwargs_)
        self.note(operation, arguments)
        call = Call(function, args, kwargs, output, operation, arguments)
        rule = self._rules.get(operation.name, self._fallback)
        if self.pointers:
            self.pointers.guard(self, call)
        result = rule(self, call)
        if isinstance(kwargs.get("out"), Tensor):
            result = self._written_into(self.axes(kwargs["out"]), result)
        operation.outputs = self._assign_outputs(output, result, operation.index)
        if self.pointers:
            self.pointers.follow(call)
        self.operations.append(operation)
        return output

    def note(self, operation: Operation, arguments: list[Tensor]) -> None:
        """Note what an operation is called with."""
        leaf_names = [self._leaf_names[id(a)] for a in arguments if id(a) in self._leaf_names]
        if leaf_names:
            self.used.update(leaf_names)
        operation.inputs = tuple(self.axes(argument) for argument in arguments)
        operation.sources = tuple(self._maker.get(id(argument), -1) for argument in arguments)
        operation.parameters = self._parameters_of(operation.inputs)

    @property
    def current_module(self) -> str:
        """The path of the innermost module that runs."""
        return self._module_stack[-1]

    @contextmanager
    def unseen(self) -> Iterator[None]:
        """Look away for a while."""
        self.watching = False
        try:
            yield
        finally:
            self.watching = True

    def _parameters_of(self, inputs: tuple[Axes, ...]) -> tuple[str, ...]:
        names: dict[str, None] = {}
        for axes in inputs:
            for dim in axes:
                if dim.leaf is not None:
                    names[dim.leaf.tensor] = None
        return tuple(names)

    def _written_into(self, target: Axes, result: Axes) -> Axes:
        """What is written into a tensor that was there before is as long as that is."""
        if [dim.size for dim in target] != [dim.size for dim in result]:
            return result
        return tuple(self.equate(dim, old).without_leaf() for dim, old in zip(result, target, strict=True))

    def _assign_outputs(self, output: Any, result: Any, index: int) -> tuple[Axes, ...]:
        if isinstance(output, Tensor):
            self._maker[id(output)] = index
            return (self.assign(output, result),)
        tensors = tensor_arguments((output,), {})
        self._maker.update((id(tensor), index) for tensor in tensors)
        if not tensors:
            return ()
        if result and isinstance(result[0], Dim):
            result = [result] * len(tensors)
        return tuple(self.assign(tensor, axes) for tensor, axes in zip(tensors, result, strict=True))

    def enter_module(self, module: nn.Module, _: Any) -> None:
        """Note which module runs; a forward pre-hook."""
        self._module_stack.append(self.module_names.get(id(module), self._module_stack[-1]))
        self._in_torch_module.append(is_torch_module(module))
        if isinstance(module, nn.MultiheadAttention) and not isinstance(module, MultiheadAttention):
            # A user's own subclass: PyTorch's forward asserts that heads x head width is its input's width.
            for axes in (self.axes(parameter) for parameter in module.parameters()):
                for dim in axes:
                    self.freeze(dim, "the width of a torch.nn.MultiheadAttention")

    def leave_module(self, module: nn.Module, _: Any, __: Any) -> None:
        """Forget the innermost module; a forward hook."""
        self._module_stack.pop()
        self._in_torch_module.pop()


@cache
def operator_name(packet: Any) -> str:
    """Return ``name`` for an ATen operator and ``namespace.name`` for any other."""
    namespace, _, name = packet._qualified_op_name.partition("::")
    return name if namespace == "aten" else f"{namespace}.{name}"


def tensor_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """Return an operator's tensor arguments in order, also those inside lists."""
    found: list[Tensor] = []
    for value in (*args, *kwargs.values()):
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found.extend(item for item in value if isinstance(item, Tensor))
    return found
