"""Integers that remember where they came from, to prove which sizes in a user's code follow the structure.

While a model is traced, ``x.shape[1]`` and the integer attributes of the user's modules are such integers;
arithmetic keeps the derivation. When one reaches a ``view`` or the ``groups`` of a functional convolution,
the dimension it sizes is known to follow: from tensor sizes by itself, from an attribute by setting it. A
plain integer at that place was written in the code, and the dimension is frozen.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from netsmith.graph.axes import Dim, fixed, product

if TYPE_CHECKING:
    from netsmith.graph.tracer import Tracer


WRITTEN = "its size is written in the code"


class Attribute(NamedTuple):
    """An integer attribute of a module."""

    module: str
    name: str
    value: int

    def __str__(self) -> str:
        return f"{self.module}.{self.name}".lstrip(".")


class Derived(NamedTuple):
    """An operation on two sizes."""

    operation: Callable[[int, int], int]
    left: Any
    right: Any


Source = Dim | Attribute | Derived | int


class Requirement(NamedTuple):
    """A size handed to an operator must equal the width of a dimension."""

    source: Source
    axis: Dim
    module: str


class TracedInt(int):
    """An integer that knows its source; it behaves as a plain one everywhere.

    ``valued`` collects the sources whose value was used as more than a size (a scale of one over the square
    root of the head width, say): what the network computes depends on them, so they must stay.
    """

    source: Source
    valued: list[Source]

    def __new__(cls, value: int, source: Source, valued: list[Source]) -> TracedInt:  # noqa: D102
        made = super().__new__(cls, value)
        made.source = source
        made.valued = valued
        return made

    def __float__(self) -> float:
        self.valued.append(self.source)
        return float(int(self))

    def __deepcopy__(self, memo: Any) -> int:
        return int(self)

    def __reduce__(self) -> Any:
        return (int, (int(self),))


def _derive(operation: Callable[[int, int], int], reflected: bool) -> Callable[[TracedInt, Any], Any]:
    def method(self: TracedInt, other: Any) -> Any:
        if not isinstance(other, int) or isinstance(other, bool):
            return NotImplemented
        mine, theirs = self.source, getattr(other, "source", int(other))
        left, right = (theirs, mine) if reflected else (mine, theirs)
        values = (int(other), int(self)) if reflected else (int(self), int(other))
        return TracedInt(operation(*values), Derived(operation, left, right), self.valued)

    return method


def _value_used(operation: Callable[[Any, Any], Any], reflected: bool) -> Callable[[TracedInt, Any], Any]:
    def method(self: TracedInt, other: Any) -> Any:
        if not isinstance(other, (int, float)):
            return NotImplemented
        self.valued.append(self.source)
        other = int(other) if isinstance(other, int) else other
        return operation(other, int(self)) if reflected else operation(int(self), other)

    return method


for _name, _operation, _method in (
    ("add", operator.add, _derive),
    ("sub", operator.sub, _derive),
    ("mul", operator.mul, _derive),
    ("floordiv", operator.floordiv, _derive),
    ("mod", operator.mod, _derive),
    ("truediv", operator.truediv, _value_used),
    ("pow", operator.pow, _value_used),
):
    setattr(TracedInt, f"__{_name}__", _method(_operation, reflected=False))
    setattr(TracedInt, f"__r{_name}__", _method(_operation, reflected=True))


def evaluate(source: Source, width: Callable[[Dim], int], attributes: Mapping[Attribute, int]) -> int:
    """Return what a size comes to, given the widths of dimensions and the values of attributes."""
    if isinstance(source, Dim):
        return width(source)
    if isinstance(source, Attribute):
        return attributes[source]
    if isinstance(source, Derived):
        left, right = (evaluate(side, width, attributes) for side in (source.left, source.right))
        return source.operation(left, right)
    return int(source)


def equal_sizes(requirements: list[Requirement]) -> list[tuple[Dim, Dim]]:
    """Return the pairs of dimensions that the code takes to be of one size."""
    bound = _bound(requirements)
    pairs: list[tuple[Dim, Dim | None]] = []
    for source, axis, _ in requirements:
        if isinstance(source, Derived) and source.operation is operator.floordiv:
            whole, part = _structure(source.left, bound), _structure(source.right, bound)
            if whole is not None and part is not None:
                pairs.append((product([part, axis]), whole))
        else:
            pairs.append((axis, _structure(source, bound)))
    return [(a, b) for a, b in pairs if b is not None and a is not b and a.size == b.size]


def used_as_values(valued: list[Source], requirements: list[Requirement]) -> list[Dim]:
    """Return the dimensions whose size the code computes with."""
    bound = _bound(requirements)
    found = []
    for source in valued:
        found += [bound[attribute] for attribute in attributes_in(source) if attribute in bound]
        found += dims_in(source)
    return found


def _bound(requirements: list[Requirement]) -> dict[Attribute, Dim]:
    """Return the first dimension that each attribute is the size of."""
    bound: dict[Attribute, Dim] = {}
    for source, axis, _ in requirements:
        if isinstance(source, Attribute):
            bound.setdefault(source, axis)
    return bound


def _structure(source: Source, bound: Mapping[Attribute, Dim]) -> Dim | None:
    """Return the dimension that a size is the size of, where there is one."""
    if isinstance(source, Dim):
        return source
    if isinstance(source, Attribute):
        return bound.get(source)
    if isinstance(source, Derived):
        left, right = _structure(source.left, bound), _structure(source.right, bound)
        return product([left, right]) if source.operation is operator.mul and left and right else None
    return fixed(int(source), WRITTEN)


def dims_in(source: Source) -> list[Dim]:
    """Return the dimensions a size was derived from."""
    if isinstance(source, Dim):
        return [source]
    if isinstance(source, Derived):
        return dims_in(source.left) + dims_in(source.right)
    return []


def attributes_in(source: Source) -> set[Attribute]:
    """Return the attributes a size was derived from."""
    if isinstance(source, Attribute):
        return {source}
    if isinstance(source, Derived):
        return attributes_in(source.left) | attributes_in(source.right)
    return set()


class SizeWatch(TorchFunctionMode):
    """Hands out traced sizes and notes the sizes given to operators that reshape or group."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self._tracer = tracer

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function == Tensor.shape.__get__ or function is Tensor.size:  # type: ignore[attr-defined]
            return self._sizes(args[0], function(*args, **kwargs), args[1:], kwargs)
        if function in ARITHMETIC:
            self._tracer.valued.extend(arg.source for arg in args if isinstance(arg, TracedInt))
        elif function is F.scaled_dot_product_attention and kwargs.get("scale") is None:
            # Its scale is one over the square root of the head width, worked out where nothing can see it.
            self._tracer.valued.append(self._tracer.axes(args[0] if args else kwargs["query"])[-1])
        given = _given(function, args, kwargs)
        if given is None:
            return function(*args, **kwargs)
        before, self._tracer.given = self._tracer.given, given
        try:
            return function(*args, **kwargs)
        finally:
            self._tracer.given = before

    def _sizes(self, tensor: Tensor, sizes: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        axes = self._tracer.axes(tensor)
        if isinstance(sizes, torch.Size):
            return torch.Size(self._traced(size, axis) for size, axis in zip(sizes, axes, strict=True))
        dim = args[0] if args else kwargs.get("dim", 0)
        return self._traced(sizes, axes[dim])

    def _traced(self, size: int, axis: Dim) -> int:
        return TracedInt(size, axis, self._tracer.valued) if axis.owners else size


def _given(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[Any, Any] | None:
    """Return the sizes handed to a function, by output dimension or by name; ``None`` if it takes none."""
    if function in RESHAPING:
        return _positions(args[1:] or (kwargs.get("shape", kwargs.get("size", ())),))
    if function in MAKING:
        return _positions(args[MAKING[function] :] or (kwargs.get("size", ()),))
    if function in (Tensor.split, torch.split):
        size = args[1] if len(args) > 1 else kwargs.get("split_size", kwargs.get("split_size_or_sections"))
        return {"split": size} if isinstance(size, int) else None
    if function in GROUPED:
        position = GROUPED[function]
        return {"groups": args[position] if len(args) > position else kwargs.get("groups", 1)}
    if function is F.group_norm:
        return {"groups": args[1] if len(args) > 1 else kwargs["num_groups"]}
    return None


def _positions(shape: tuple[Any, ...]) -> dict[Any, Any]:
    if len(shape) >= 1 and isinstance(shape[0], (tuple, list)):
        shape = tuple(shape[0])
    return {position: size for position, size in enumerate(shape) if isinstance(size, int)}


ARITHMETIC = frozenset(
    getattr(Tensor, name)
    for name in (
        "mul", "div", "add", "sub", "pow", "__mul__", "__rmul__", "__truediv__", "__rtruediv__", "__pow__",
        "__rpow__", "__add__", "__radd__", "__sub__", "__rsub__", "mul_", "div_", "add_", "sub_",
    )
) | {torch.mul, torch.div, torch.add, torch.sub, torch.pow}  # fmt: skip
RESHAPING = (Tensor.view, Tensor.reshape, torch.reshape, Tensor.expand)
MAKING = {
    torch.zeros: 0,
    torch.ones: 0,
    torch.empty: 0,
    torch.full: 0,
    Tensor.new_zeros: 1,
    Tensor.new_ones: 1,
    Tensor.new_empty: 1,
    Tensor.new_full: 1,
}
GROUPED = {
    F.conv1d: 6,
    F.conv2d: 6,
    F.conv3d: 6,
    F.conv_transpose1d: 6,
    F.conv_transpose2d: 6,
    F.conv_transpose3d: 6,
}


@contextmanager
def traced_attributes(tracer: Tracer, modules: Iterable[nn.Module]) -> Iterator[None]:
    """Make the integer attributes of a user's own modules traceable for a while.

    The modules of ``torch.nn`` are left alone: what their attributes mean is known.
    """
    replaced: list[tuple[nn.Module, str, int]] = []
    try:
        for module in modules:
            if is_torch_module(module):
                continue
            for name, value in module.__dict__.items():
                if type(value) is int and value > 1:
                    replaced.append((module, name, value))
        for module, name, value in replaced:
            attribute = Attribute(tracer.module_names.get(id(module), ""), name, value)
            module.__dict__[name] = TracedInt(value, attribute, tracer.valued)
        yield
    finally:
        for module, name, value in replaced:
            if isinstance(module.__dict__.get(name), TracedInt):
                module.__dict__[name] = value


def is_torch_module(module: nn.Module) -> bool:
    """Whether a module's class (or the one a parametrization wraps) comes with PyTorch itself."""
    return _is_torch_class(type(module))  # type: ignore[arg-type]


@cache
def _is_torch_class(kind: type) -> bool:
    wrapped = next((cls for cls in kind.__mro__ if cls.__module__ != "torch.nn.utils.parametrize"), kind)
    return wrapped.__module__.startswith("torch.nn.")
