"""What a tensor dimension is made of: per index, the elements that own it.

An *element* is an integer. Every parameter and buffer dimension starts with one fresh element per index;
operators then say which elements are one (a residual add), which are a product of others (a head split
factors a dimension into head × head width), and which must stay. A dimension carries, per index, a small
set of owners: the index goes when any of them goes, and an index with no owner stays for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Elements = NDArray[np.int64]
NOBODY = -1
"""Marks an index that a given owner array does not own."""


class Leaf(NamedTuple):
    """A dimension of a parameter or buffer."""

    tensor: str
    dim: int


class Dim:
    """One dimension of one tensor: its size and, per index, who owns it.

    ``owners`` is a tuple of element arrays of length ``size``; empty when nothing owns any index, and then
    ``reason`` says why the dimension is fixed. ``parts`` are the dimensions it is a row-major product of,
    ``leaf`` is the parameter dimension it is a plain view of.
    """

    __slots__ = ("leaf", "owners", "parts", "reason", "size")

    def __init__(
        self,
        size: int,
        owners: tuple[Elements, ...] = (),
        reason: str = "",
        parts: tuple[Dim, ...] = (),
        leaf: Leaf | None = None,
    ) -> None:
        self.size = size
        self.owners = owners
        self.reason = reason
        self.parts = parts
        self.leaf = leaf

    @property
    def owned(self) -> bool:
        """Whether any index has an owner."""
        return bool(self.owners)

    def without_leaf(self) -> Dim:
        """Return the same dimension, no longer taken for a parameter's own."""
        return Dim(self.size, self.owners, self.reason, self.parts) if self.leaf else self

    def __repr__(self) -> str:
        return f"Dim({self.size}, {'owned' if self.owners else self.reason!r})"


Axes = tuple[Dim, ...]


def fixed(size: int, reason: str) -> Dim:
    """Return a dimension that never changes, with the reason why."""
    return Dim(size, (), reason)


def product(dims: Sequence[Dim]) -> Dim:
    """Return the row-major product of dimensions, as a flatten makes it."""
    real = [dim for dim in dims if dim.size != 1]
    if len(real) == 1:
        return real[0]
    sizes = [dim.size for dim in real]
    size = int(np.prod(sizes)) if real else 1
    owners = []
    for position, dim in enumerate(real):
        shape = [1] * len(real)
        shape[position] = dim.size
        for array in dim.owners:
            owners.append(np.broadcast_to(array.reshape(shape), sizes).reshape(-1))
    reason = next((dim.reason for dim in [*real, *dims] if dim.reason), "")
    return Dim(size, tuple(owners), reason, parts=tuple(real))


def concatenate(dims: Sequence[Dim]) -> Dim:
    """Return dimensions laid end to end, as a concat makes them."""
    size = sum(dim.size for dim in dims)
    depth = max((len(dim.owners) for dim in dims), default=0)
    columns = []
    for level in range(depth):
        pieces = [
            dim.owners[level] if level < len(dim.owners) else np.full(dim.size, NOBODY, dtype=np.int64)
            for dim in dims
        ]
        columns.append(np.concatenate(pieces))
    reason = next((dim.reason for dim in dims if dim.reason), "")
    return Dim(size, tuple(columns), reason)


def take(dim: Dim, index: NDArray[np.int64] | slice) -> Dim:
    """Return the dimension restricted to some of its indices, in that order."""
    size = len(range(dim.size)[index]) if isinstance(index, slice) else len(index)
    return Dim(size, tuple(array[index] for array in dim.owners), dim.reason)


@dataclass
class Constraints:
    """Everything a trace has learnt about elements, recorded now and solved once at the end."""

    count: int = 0
    starts: list[int] = field(default_factory=list)
    """The first element of every dimension that was made fresh."""
    unions: list[tuple[Elements, Elements]] = field(default_factory=list)
    equalities: list[tuple[Dim, Dim]] = field(default_factory=list)
    """Dimensions of which at least one has several owners per index."""
    frozen: list[tuple[Elements, str]] = field(default_factory=list)
    parts: list[Dim] = field(default_factory=list)
    """Parts of dimensions that the code takes apart: none of them may be left without an index."""

    def fresh(self, size: int, leaf: Leaf | None = None) -> Dim:
        """Return a dimension whose indices nobody has owned before; a size of one cannot be cut at all."""
        if size == 1:
            return Dim(1, (), "a single channel", leaf=leaf)
        start = self.count
        self.starts.append(start)
        self.count += size
        return Dim(size, (np.arange(start, start + size, dtype=np.int64),), leaf=leaf)

    def freeze(self, dim: Dim, reason: str) -> None:
        """Record that no index of ``dim`` may go."""
        for array in dim.owners:
            self.frozen.append((array, reason))

    def equate(self, first: Dim, second: Dim) -> Dim:
        """Record that two dimensions keep the same indices; return the one that says more."""
        if first is second or not (first.owners or second.owners):
            return first
        if first.size != second.size:
            raise ValueError(f"cannot equate dimensions of {first.size} and {second.size} indices")
        if not second.owners:
            self.freeze(first, second.reason)
            return first
        if not first.owners:
            self.freeze(second, first.reason)
            return second
        if len(first.owners) == len(second.owners) == 1:
            if first.owners[0] is not second.owners[0]:
                self.unions.append((first.owners[0], second.owners[0]))
        elif any(a is not b for a, b in zip(first.owners, second.owners, strict=False)) or len(
            first.owners
        ) != len(second.owners):
            self.equalities.append((first, second))
        return first if first.parts or not second.parts else second

    def factor(self, dim: Dim, sizes: Sequence[int]) -> Axes:
        """Split a dimension row-major into ``sizes`` (their product is its size), as a head split does."""
        if not dim.owners:
            return tuple(fixed(size, dim.reason) for size in sizes)
        real = [size for size in sizes if size != 1]
        if len(real) == 1:
            factors: Axes = (dim,)
        elif [part.size for part in dim.parts] == real:
            factors = dim.parts
        else:
            factors = tuple(self.fresh(size) for size in real)
            self.equate(dim, product(factors))
        remaining = iter(factors)
        return tuple(fixed(1, "a single channel") if size == 1 else next(remaining) for size in sizes)
