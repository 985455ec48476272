"""Pointwise operators: every operand keeps the same indices, up to broadcasting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from netsmith.graph.axes import Axes, Dim, fixed
from netsmith.graph.tracer import FROM_CONSTANT, Call, Tracer


def broadcast(tracer: Tracer, shape: Sequence[int], operands: Sequence[Axes]) -> Axes:
    """Equate operands under broadcasting to ``shape`` and return the axes of the result."""
    result: list[Dim] = []
    plain = all(dim.leaf is not None for axes in operands for dim in axes)
    for position, size in enumerate(shape):
        from_right = len(shape) - position
        dims = [axes[len(axes) - from_right] for axes in operands if len(axes) >= from_right]
        if size != 1:
            dims = [dim for dim in dims if dim.size == size]
        if not dims:
            result.append(fixed(size, FROM_CONSTANT))
            continue
        chosen = dims[0]
        for dim in dims[1:]:
            chosen = tracer.equate(chosen, dim)
        result.append(chosen if plain else chosen.without_leaf())
    return tuple(result)


def pointwise(tracer: Tracer, call: Call) -> Any:
    """Every tensor operand is broadcast against the others."""
    call.operation.kind = "elementwise"
    operands = [tracer.axes(tensor) for tensor in call.tensors]
    if isinstance(call.output, Tensor):
        return broadcast(tracer, call.output.shape, operands)
    return [broadcast(tracer, output.shape, operands) for output in call.output if isinstance(output, Tensor)]


def same(tracer: Tracer, call: Call) -> Axes:
    """The output has the axes of the first argument (copies, casts, dropout masks)."""
    call.operation.kind = "view"
    return tracer.axes(call.args[0])


RULES = {
    **dict.fromkeys(
        (
            "hardswish", "hardswish_", "_prelu_kernel", "native_dropout", "hardtanh", "hardtanh_",
            "copy_", "copy", "rrelu_with_noise", "hardsigmoid", "log_sigmoid_forward",
            "masked_fill", "masked_fill_", "bernoulli_", "threshold", "fill_", "zero_",
            "where", "add", "mul", "sub", "div", "complex", "polar",
        ),
        pointwise,
    ),
    **dict.fromkeys(
        (
            "clone", "_to_copy", "detach", "detach_", "alias", "lift_fresh", "contiguous",
            "lift_fresh_copy", "zeros_like", "ones_like", "empty_like", "full_like",
            "rand_like", "randn_like", "bernoulli", "dropout", "feature_dropout",
            "alpha_dropout", "lift", "requires_grad_", "to", "_conj", "_neg_view", "resolve_conj",
            "resolve_neg", "_conj_physical",
        ),
        same,
    ),
}  # fmt: skip
