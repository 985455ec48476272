"""What a user's own rule sees of one call of its operator or module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from netsmith.errors import TraceError
from netsmith.graph.axes import Axes, Dim, concatenate, fixed, product
from netsmith.graph.operation import Read
from netsmith.graph.sizes import Attribute, Requirement, TracedInt
from netsmith.graph.tracer import Call, Tracer


class RuleCall:
    """One call of an operator or module, in the terms of the structure graph.

    A ``Dim`` is one dimension of one tensor, with the channels that own its indices. A rule looks dimensions
    up (:meth:`axes`, :meth:`parameter`), says which keep the same indices (:meth:`equate`), which are summed
    over (:meth:`contract`, :meth:`read`), which make new channels (:meth:`produce`), and which must stay
    (:meth:`freeze`); it returns the dimensions of the output. What it does not mention stays.

    ``output`` holds the output's tensors (on the ``meta`` device where the trace needs no values),
    ``module`` the module of a module's rule.
    """

    def __init__(
        self, tracer: Tracer, call: Call, arguments: dict[str, Any], module: nn.Module | None, path: str
    ) -> None:
        self.output = call.output
        self.module = module
        self._arguments = arguments
        self._tracer = tracer
        self._call = call
        self._path = path
        self._mentioned: set[int] = set()

    def argument(self, name: str) -> Any:
        """Return an argument by the name it has in the operator's schema or the module's ``forward``.

        Raises:
            TraceError: there is no such argument.
        """
        if name not in self._arguments:
            raise TraceError(f"no argument {name!r}; there are: {', '.join(self._arguments)}")
        return self._arguments[name]

    def axes(self, which: str | Tensor) -> Axes:
        """Return the dimensions of a tensor argument, given by name or itself.

        Raises:
            TraceError: the argument is not a tensor.
        """
        tensor = self.argument(which) if isinstance(which, str) else which
        if not isinstance(tensor, Tensor):
            raise TraceError(f"argument {which!r} is a {type(tensor).__name__}, not a tensor")
        return self._tracer.axes(tensor)

    def parameter(self, name: str) -> Axes:
        """Return the dimensions of one of the module's parameters or buffers, by its dotted name.

        Raises:
            TraceError: it is the rule of an operator, or the module has no such parameter or buffer.
        """
        value: Any = self.module
        for part in name.split("."):
            value = getattr(value, part, None)
        if not isinstance(value, Tensor):
            raise TraceError(f"{type(self.module).__name__} has no parameter or buffer {name!r}")
        return self._tracer.axes(value)

    def fixed(self, size: int, reason: str) -> Dim:
        """Return a new dimension of the output that no channel owns."""
        return fixed(size, reason)

    def product(self, dims: Sequence[Dim]) -> Dim:
        """Return dimensions flattened into one, row-major."""
        self._mention(*dims)
        return self._mention(product(dims))

    def concatenate(self, dims: Sequence[Dim]) -> Dim:
        """Return dimensions laid end to end."""
        self._mention(*dims)
        return self._mention(concatenate(dims))

    def factor(self, dim: Dim, sizes: Sequence[int]) -> Axes:
        """Return a dimension split row-major into ``sizes``, as a split into heads does."""
        self._mention(dim)
        parts = self._tracer.factor(dim, list(sizes))
        self._mention(*parts)
        return parts

    def equate(self, first: Dim, second: Dim) -> Dim:
        """Say that two dimensions keep the same indices; returns them as one."""
        self._mention(first, second)
        return self._mention(self._tracer.equate(first, second))

    def freeze(self, dim: Dim, reason: str) -> Dim:
        """Say that no index of a dimension may go, and why; returns it as fixed."""
        self._mention(dim)
        return self._tracer.freeze(dim, reason)

    def read(self, dim: Dim, *, statistic: bool = False) -> Dim:
        """Say that every output depends on all indices of an argument's dimension.

        A sum reads a removed index as zero. With ``statistic`` it is left out instead, as from a mean or a
        norm: the operator is then checked by running it on the survivors alone.
        """
        self._mention(dim)
        for position, axes in enumerate(self._call.operation.inputs):
            for place, axis in enumerate(axes):
                if axis.owners and [*map(id, axis.owners)] == [*map(id, dim.owners)]:
                    self._call.operation.reads.append(Read(position, place, axis, statistic))
        return dim

    def contract(self, first: Dim, second: Dim) -> Dim:
        """Say that two arguments are multiplied and summed over a shared dimension, as ``x @ w`` does."""
        for dim in (first, second):
            self._tracer.contract(dim.leaf)
        joint = self.equate(first, second)
        self.read(first)
        return joint

    def produce(self, dim: Dim) -> Dim:
        """Say that a parameter's dimension makes the channels of the output; returns it as the output's."""
        self._tracer.produce(dim.leaf)
        return self._mention(dim.without_leaf())

    def size(self, name: str, dim: Dim) -> None:
        """Say that an integer is the size of a dimension: an argument, or an attribute of the module.

        It is brought in line after a cut. Where it cannot be, being written in the code, the dimension stays.
        """
        self._call.operation.constants[name] = dim
        if name in self._arguments:
            given = self._tracer.given.get(("argument", name), self._arguments[name])
            if isinstance(given, TracedInt):
                self._tracer.requirements.append(Requirement(given.source, dim, self._path))
            else:
                self._tracer.freeze(dim, f"{name} is written in the code")
            return
        value = getattr(self.module, name, None)
        if not isinstance(value, int):
            raise TraceError(f"no integer {name!r} among the arguments or the module's attributes")
        attribute = Attribute(self._path, name, int(value))
        self._tracer.requirements.append(Requirement(attribute, dim, self._path))

    def macs(self, *dims: Dim) -> None:
        """Say what the call costs: as many multiply-accumulates as the product of these dimensions."""
        self._call.operation.scale, self._call.operation.iterations = 1, dims

    def freeze_unmentioned(self, outputs: Sequence[Axes], reason: str) -> None:
        """Freeze what neither the rule nor the output has anything to say of."""
        for axes in outputs:
            self._mention(*axes)
        for axes in self._call.operation.inputs:
            for dim in axes:
                if any(id(owner) not in self._mentioned for owner in dim.owners):
                    self._tracer.freeze(dim, reason)

    def _mention(self, *dims: Dim) -> Dim:
        self._mentioned.update(id(owner) for dim in dims for owner in dim.owners)
        return dims[0] if dims else fixed(0, "")
