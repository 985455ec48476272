"""What the sizes in a user's code say about dimensions: which are of one size, and which must stay."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from netsmith.graph.axes import Dim, concatenate, fixed, product
from netsmith.graph.sizes import (
    WRITTEN,
    Attribute,
    Derived,
    Requirement,
    Source,
    attributes_in,
    dims_in,
)


def equal_sizes(
    requirements: list[Requirement], compared: list[tuple[Source, Source]]
) -> list[tuple[Dim, Dim]]:
    """Return the pairs of dimensions that the code takes to be of one size."""
    bound = _bound(requirements)
    pairs = [(_structure(one, bound), _structure(other, bound)) for one, other in compared]
    pairs += [_sides(requirement, bound) for requirement in requirements]
    known = [(a, b) for a, b in pairs if a is not None and b is not None and a is not b]
    return [(a, b) for a, b in known if a.size == b.size and (a.owners or b.owners)]


def without_structure(requirements: list[Requirement]) -> list[Dim]:
    """Return the dimensions in sizes that follow from other sizes, in a way that no structure stands for."""
    bound = _bound(requirements)
    found: list[Dim] = []
    for requirement in requirements:
        attributes = attributes_in(requirement.source)
        one, other = _sides(requirement, bound)
        fits = one is not None and other is not None and one.size == other.size
        if not fits and all(attribute in bound for attribute in attributes):
            sizes = [bound[attribute] for attribute in attributes]
            found += [requirement.axis, *dims_in(requirement.source), *sizes]
    return found


def _sides(requirement: Requirement, bound: Mapping[Attribute, Dim]) -> tuple[Dim | None, Dim | None]:
    """Return two dimensions that are of one size when a requirement holds, where there are such."""
    source, axis, _ = requirement
    completed = COMPLETED.get(source.operation) if isinstance(source, Derived) else None
    if completed is None or not isinstance(source, Derived):
        return axis, _structure(source, bound)
    whole, part = _structure(source.left, bound), _structure(source.right, bound)
    return whole, None if part is None else completed([part, axis])


def used_as_values(valued: list[Source], requirements: list[Requirement]) -> list[Dim]:
    """Return the dimensions whose size the code computes with.

    They are those that the very same size sizes; where there is none, those that what it was computed from
    sizes, alone or (if it never does so alone) with others.
    """
    found: list[Dim] = []
    for source in valued:
        found += dims_in(source)
        itself = [r.axis for r in requirements if r.source == source]
        found += itself
        for attribute in attributes_in(source) if not itself else ():
            alone = [r.axis for r in requirements if r.source == attribute]
            found += alone or [r.axis for r in requirements if attribute in attributes_in(r.source)]
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
        if left and right and not (left.owners or right.owners):
            return fixed(source.operation(left.size, right.size), left.reason or right.reason)
        joined = JOINED.get(source.operation)
        return joined([left, right]) if joined and left and right else None
    return fixed(int(source), WRITTEN)


JOINED: dict[Any, Callable[[Sequence[Dim]], Dim]] = {operator.mul: product, operator.add: concatenate}
"""What dimensions become when their sizes are multiplied, and when they are added."""

COMPLETED: dict[Any, Callable[[Sequence[Dim]], Dim]] = {operator.floordiv: product, operator.sub: concatenate}
"""What the right side of a quotient or a difference and its result make up: the left side."""
