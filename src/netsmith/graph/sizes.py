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

from netsmith.graph.axes import Dim

if TYPE_CHECKING:
    from netsmith.graph.tracer import Tracer


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
    """An integer that knows its source; it behaves as a plain one everywhere."""

    source: Source

    def __new__(cls, value: int, source: Source) -> TracedInt:  # noqa: D102
        made = super().__new__(cls, value)
        made.source = source
        return made

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
        return TracedInt(operation(*values), Derived(operation, left, right))

    return method


for _name, _operation in (
    ("add", operator.add),
    ("sub", operator.sub),
    ("mul", operator.mul),
    ("floordiv", operator.floordiv),
    ("mod", operator.mod),
):
    setattr(TracedInt, f"__{_name}__", _derive(_operation, reflected=False))
    setattr(TracedInt, f"__r{_name}__", _derive(_operation, reflected=True))


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
            return torch.Size(_traced(size, axis) for size, axis in zip(sizes, axes, strict=True))
        dim = args[0] if args else kwargs.get("dim", 0)
        return _traced(sizes, axes[dim])


def _traced(size: int, axis: Dim) -> int:
    return TracedInt(size, axis) if axis.owners else size


def _given(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[Any, Any] | None:
    """Return the sizes handed to a function, by output dimension or by name; ``None`` if it takes none."""
    if function in (Tensor.view, Tensor.reshape, torch.reshape):
        shape = args[1:] or (kwargs.get("shape", kwargs.get("size", ())),)
        if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
            shape = tuple(shape[0])
        return dict(enumerate(shape))
    if function in GROUPED:
        position = GROUPED[function]
        return {"groups": args[position] if len(args) > position else kwargs.get("groups", 1)}
    if function is F.group_norm:
        return {"groups": args[1] if len(args) > 1 else kwargs["num_groups"]}
    return None


GROUPED = {
    F.conv1d: 6,
    F.conv2d: 6,
    F.conv3d: 6,
    F.conv_transpose1d: 6,
    F.conv_transpose2d: 6,
    F.conv_transpose3d: 6,
}


@contextmanager
def traced_attributes(modules: Iterable[nn.Module], names: Mapping[int, str]) -> Iterator[None]:
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
            module.__dict__[name] = TracedInt(value, Attribute(names.get(id(module), ""), name, value))
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
