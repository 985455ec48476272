"""From what a size must come to, back to the attribute it was derived from."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

from netsmith.graph.axes import Dim
from netsmith.graph.sizes import Attribute, Derived, Source, attributes_in, evaluate

UNDONE: dict[tuple[Callable[[int, int], int], bool], Callable[[int, int], int]] = {
    (operator.add, True): lambda target, right: target - right,
    (operator.add, False): lambda target, left: target - left,
    (operator.sub, True): lambda target, right: target + right,
    (operator.sub, False): lambda target, left: left - target,
    (operator.mul, True): lambda target, right: target // right,
    (operator.mul, False): lambda target, left: target // left,
    (operator.floordiv, True): lambda target, right: target * right,
    (operator.floordiv, False): lambda target, left: left // target,
}
"""The unknown side of an operation (left if ``True``) from its result and the other side."""


def solve_for(
    attribute: Attribute,
    source: Source,
    target: int,
    width: Callable[[Dim], int],
    attributes: Mapping[Attribute, int],
) -> int | None:
    """Return the value of an attribute for which a size comes to ``target``, if it can be undone for it."""
    if source == attribute:
        return target
    if not isinstance(source, Derived):
        return None
    on_the_left = attribute in attributes_in(source.left)
    side, other = (source.left, source.right) if on_the_left else (source.right, source.left)
    undo = UNDONE.get((source.operation, on_the_left))
    known = evaluate(other, width, attributes)
    if undo is None or (known == 0 and source.operation is operator.mul) or target == 0:
        return None
    return solve_for(attribute, side, undo(target, known), width, attributes)
