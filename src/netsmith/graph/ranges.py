"""Between which bounds the values of a forward pass are known to lie (interval arithmetic)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from netsmith.graph.flow import Flow, Step, Value


class Range(NamedTuple):
    """Bounds that hold for every entry of a value, whatever the inputs and the weights."""

    low: float
    high: float

    def within(self, other: Range) -> bool:
        """Whether a value of this range is left alone by a clamp to the other."""
        return other.low <= self.low and self.high <= other.high


ANYTHING = Range(-math.inf, math.inf)
UNIT = Range(0.0, 1.0)

KEEPING = frozenset(
    {
        "view", "_unsafe_view", "reshape", "_reshape_alias", "permute", "transpose", "t", "unsqueeze",
        "squeeze", "clone", "contiguous", "alias", "detach", "_to_copy", "lift_fresh", "expand", "select",
        "slice", "split", "split_with_sizes", "unbind", "max_pool2d_with_indices", "max_pool3d_with_indices",
        "mean", "amax", "amin", "_adaptive_avg_pool2d", "adaptive_max_pool2d", "upsample_nearest2d",
        "upsample_bilinear2d", "flip", "roll", "repeat",
    }
)  # fmt: skip
"""Operators whose results are entries of their first argument, or averages of them."""
PADDING = frozenset({"avg_pool1d", "avg_pool2d", "avg_pool3d", "constant_pad_nd"})
"""The same, with zeros mixed in."""
FROM_ZERO_TO_ONE = frozenset({"sigmoid", "sigmoid_", "_softmax", "hardsigmoid", "hardsigmoid_"})
NOT_NEGATIVE = frozenset({"exp", "abs", "softplus"})


def clamp_of(step: Step) -> Range | None:
    """Return the range that an operator clamps its first argument to; ``None`` if it is no clamp."""
    name = step.name.rstrip("_")
    if name == "relu":
        return Range(0.0, math.inf)
    if name == "hardtanh":
        return Range(float(step.argument(1, "min_val", -1)), float(step.argument(2, "max_val", 1)))
    if name == "clamp":
        low, high = step.argument(1, "min"), step.argument(2, "max")
        if all(bound is None or isinstance(bound, (int, float)) for bound in (low, high)):
            return Range(-math.inf if low is None else low, math.inf if high is None else high)
    return None


def ranges_of(flow: Flow) -> Callable[[Value], Range]:
    """Return a function from a value to its range.

    A sum is given the bounds of each operand alone, too, so that the ranges also hold when the other branch
    of a residual block contributes nothing.
    """
    known: dict[int, Range] = {}

    def range_of(value: Value) -> Range:
        return known.get(value.number, ANYTHING)

    for step in flow.steps:
        found = _result(step, [range_of(value) for value in step.operands])
        if found != ANYTHING:
            same = [value for value in step.results if value.dtype == step.operands[0].dtype]
            known.update(dict.fromkeys((value.number for value in same), found))
    return range_of


def _result(step: Step, inputs: list[Range]) -> Range:
    clamp = clamp_of(step)
    if clamp is not None and inputs:
        return Range(*(min(max(bound, clamp.low), clamp.high) for bound in inputs[0]))
    if step.name in FROM_ZERO_TO_ONE:
        return UNIT
    if step.name in NOT_NEGATIVE:
        return Range(0.0, math.inf)
    if step.name in KEEPING and inputs:
        return inputs[0]
    if step.name in PADDING:
        return _hull([inputs[0], Range(0.0, 0.0)])
    if step.name == "cat":
        return _hull(inputs)
    if step.name in ("add", "add_") and len(inputs) == 2 and step.argument(2, "alpha", 1) == 1:
        return _hull([*inputs, Range(inputs[0].low + inputs[1].low, inputs[0].high + inputs[1].high)])
    if step.name in ("mul", "mul_") and len(inputs) == 2 and min(inputs[0].low, inputs[1].low) >= 0:
        return Range(0.0, math.inf)
    return ANYTHING


def _hull(ranges: list[Range]) -> Range:
    return Range(min(item.low for item in ranges), max(item.high for item in ranges))
