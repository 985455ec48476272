"""One rule per ATen operator: how its output's axes own what its inputs' own, and which become one.

Operators are known by name (``convolution``; ``namespace.name`` outside ATen), so that one a version of
PyTorch does not have yet is no error.

A rule is a function ``(tracer, call) -> axes``: it looks up the axes of the arguments, equates, factors,
freezes and reads through the tracer, and returns the axes of the output (one tuple, or a list of tuples for
several outputs). Each module of this package holds the rules of one family in its ``RULES``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netsmith.graph.rules import (
    choosing,
    contraction,
    elementwise,
    indexing,
    joining,
    normalisation,
    ragged,
    reduction,
    shape,
    slicing,
    spatial,
    spectral,
)
from netsmith.graph.tracer import Call, Tracer

Rule = Callable[[Tracer, Call], Any]

RULES: dict[str, Rule] = {
    **elementwise.RULES,
    **shape.RULES,
    **joining.RULES,
    **slicing.RULES,
    **indexing.RULES,
    **reduction.RULES,
    **normalisation.RULES,
    **spatial.RULES,
    **spectral.RULES,
    **ragged.RULES,
    **contraction.RULES,
    **choosing.RULES,
}


def fallback(tracer: Tracer, call: Call) -> Any:
    """Follow a pointwise operator by its tag; freeze whatever an unknown operator touches."""
    import torch

    if torch.Tag.pointwise in call.function.tags:
        return elementwise.pointwise(tracer, call)
    return indexing.unknown(tracer, call)
