"""Integers that remember where they came from, to prove which sizes in a user's code follow the structure.

While a model is traced, ``x.shape[1]`` and the integer attributes of the user's modules are such integers;
arithmetic keeps the derivation. When one reaches a ``view`` or the ``groups`` of a functional convolution,
the dimension it sizes is known to follow: from tensor sizes by itself, from an attribute by setting it. A
plain integer at that place was written in the code, and the dimension is frozen.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from netsmith.graph.axes import Dim

WRITTEN = "its size is written in the code"
FITTED = "fitted"
"""What stands among the given sizes where PyTorch makes its new tensors as long as what goes into them."""


class Attribute(NamedTuple):
    """An integer attribute of a module, or (``position``) one integer of a tuple or list."""

    module: str
    name: str
    value: int
    position: int | None = None

    def __str__(self) -> str:
        place = "" if self.position is None else f"[{self.position}]"
        return f"{self.module}.{self.name}{place}".lstrip(".")


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


class Observer(Protocol):
    """Who is told what the code does with sizes besides handing them to operators.

    ``valued`` collects the sources whose value was used as more than a size (a scale of one over the square
    root of the head width, say): what the network computes depends on them, so they must stay.
    """

    valued: list[Source]
    derived: list[Derived]
    """What was computed from sizes; what of it comes to no use that is seen was used as a value."""

    def found_equal(self, one: Source, other: Source) -> None:
        """The code compared two sizes and they were equal; it may do something else when they are not."""

    def found_different(self, one: Source, other: Source) -> None:
        """The code compared two sizes and they were not equal."""


class TracedInt(int):
    """An integer that knows its source; it behaves as a plain one everywhere."""

    source: Source
    observer: Observer

    def __new__(cls, value: int, source: Source, observer: Observer) -> TracedInt:  # noqa: D102
        made = super().__new__(cls, value)
        made.source = source
        made.observer = observer
        return made

    def __float__(self) -> float:
        self.observer.valued.append(self.source)
        return float(int(self))

    def __eq__(self, other: object) -> bool:
        equal = int(self) == (int(other) if isinstance(other, int) else other)
        if equal and isinstance(other, int):
            self.observer.found_equal(self.source, getattr(other, "source", int(other)))
        elif isinstance(other, TracedInt):
            self.observer.found_different(self.source, other.source)
        return equal

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: int) -> bool:
        return not self == other and int(self) < other

    def __le__(self, other: int) -> bool:
        return self == other or int(self) < other

    def __gt__(self, other: int) -> bool:
        return not self == other and int(self) > other

    def __ge__(self, other: int) -> bool:
        return self == other or int(self) > other

    __hash__ = int.__hash__

    def __neg__(self) -> TracedInt:
        source = self.source
        if isinstance(source, Derived) and source.operation is operator.sub and source.left == 0:
            return TracedInt(-int(self), source.right, self.observer)
        return TracedInt(-int(self), Derived(operator.sub, 0, source), self.observer)

    def __deepcopy__(self, memo: Any) -> int:
        return int(self)

    def __reduce__(self) -> Any:
        return (int, (int(self),))


NEUTRAL = {operator.add: 0, operator.sub: 0, operator.mul: 1, operator.floordiv: 1}
"""What changes nothing on the right of an operation."""


def _derive(operation: Callable[[int, int], int], reflected: bool) -> Callable[[TracedInt, Any], Any]:
    def method(self: TracedInt, other: Any) -> Any:
        if isinstance(other, float):
            self.observer.valued.append(self.source)
        if not isinstance(other, int) or isinstance(other, bool):
            return NotImplemented
        if type(other) is int and not reflected and other == NEUTRAL.get(operation):
            return self
        mine, theirs = self.source, getattr(other, "source", int(other))
        left, right = (theirs, mine) if reflected else (mine, theirs)
        values = (int(other), int(self)) if reflected else (int(self), int(other))
        source = Derived(operation, left, right)
        self.observer.derived.append(source)
        return TracedInt(operation(*values), source, self.observer)

    return method


def _value_used(operation: Callable[[Any, Any], Any], reflected: bool) -> Callable[[TracedInt, Any], Any]:
    def method(self: TracedInt, other: Any) -> Any:
        if not isinstance(other, (int, float)):
            return NotImplemented
        self.observer.valued.append(self.source)
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


def dims_in(source: Source) -> list[Dim]:
    """Return the dimensions a size was derived from."""
    if isinstance(source, Dim):
        return [source]
    if isinstance(source, Derived):
        return dims_in(source.left) + dims_in(source.right)
    return []


def vanished(derived: list[Derived], used: Iterable[Source]) -> list[Source]:
    """Return what was computed from sizes and is in nothing that was used.

    A number on the left of an operator does not ask the size on its right: ``2.0 / size`` goes unseen.
    """
    seen: set[int] = set()

    def see(source: Source) -> None:
        if isinstance(source, Derived) and id(source) not in seen:
            seen.add(id(source))
            see(source.left)
            see(source.right)

    for source in used:
        see(source)
    lost: list[Source] = []
    for source in reversed(derived):  # the outermost comes last
        if id(source) not in seen:
            lost.append(source)
            see(source)
    return lost


def attributes_in(source: Source) -> set[Attribute]:
    """Return the attributes a size was derived from."""
    if isinstance(source, Attribute):
        return {source}
    if isinstance(source, Derived):
        return attributes_in(source.left) | attributes_in(source.right)
    return set()
