"""Operators that lay tensors end to end or take them apart."""

from __future__ import annotations

from torch import Tensor

from netsmith.graph.axes import Axes, concatenate, fixed, take
from netsmith.graph.rules.elementwise import broadcast
from netsmith.graph.rules.slicing import FIXED_POSITION, pieces
from netsmith.graph.tracer import Call, Tracer


def cat(tracer: Tracer, call: Call) -> Axes:
    """Concatenation: one dimension is laid end to end, the others keep the same indices."""
    tensors = [tensor for tensor in call.args[0] if tensor.dim() > 1 or tensor.numel()]
    dim = int(call.argument(1, "dim", 0)) % tensors[0].dim()
    operands = [tracer.axes(tensor) for tensor in tensors]
    rest = broadcast(
        tracer,
        [size for position, size in enumerate(call.output.shape) if position != dim],
        [axes[:dim] + axes[dim + 1 :] for axes in operands],
    )
    return (*rest[:dim], concatenate([axes[dim] for axes in operands]), *rest[dim:])


def stack(tracer: Tracer, call: Call) -> Axes:
    """Stacking: a new dimension; the others keep the same indices."""
    dim = int(call.argument(1, "dim", 0)) % call.output.dim()
    shape = list(call.output.shape)
    count = shape.pop(dim)
    rest = broadcast(tracer, shape, [tracer.axes(tensor) for tensor in call.args[0]])
    return (*rest[:dim], fixed(count, "a stack of tensors"), *rest[dim:])


def unbind(tracer: Tracer, call: Call) -> list[Axes]:
    """One tensor per index of a dimension."""
    call.operation.kind = "view"
    axes = list(tracer.axes(call.args[0]))
    dim = int(call.argument(1, "dim", 0)) % len(axes)
    tracer.freeze(axes.pop(dim), FIXED_POSITION)
    return [tuple(axes)] * len(call.output)


def select(tracer: Tracer, call: Call) -> Axes:
    """One index of a dimension."""
    call.operation.kind = "view"
    axes = list(tracer.axes(call.args[0]))
    dim = int(call.args[1]) % len(axes)
    tracer.freeze(axes.pop(dim), FIXED_POSITION)
    return tuple(axes)


def pad(tracer: Tracer, call: Call) -> Axes:
    """Constant padding: indices that stay are laid before and after."""
    axes = list(tracer.axes(call.args[0]))
    widths = list(call.args[1])
    for step in range(len(widths) // 2):
        before, after = widths[2 * step : 2 * step + 2]
        dim = len(axes) - 1 - step
        axis = axes[dim]
        if before < 0 or after < 0:
            tracer.freeze(axis, FIXED_POSITION)
            axes[dim] = fixed(axis.size + before + after, FIXED_POSITION)
        elif before or after:
            padding = [fixed(before, "padding"), axis, fixed(after, "padding")]
            axes[dim] = concatenate([part for part in padding if part.size])
    return tuple(axes)


def glu(tracer: Tracer, call: Call) -> Axes:
    """A gated linear unit: the halves of a dimension keep the same positions."""
    call.operation.kind = "elementwise"
    axes = list(tracer.axes(call.args[0]))
    dim = int(call.argument(1, "dim", -1)) % len(axes)
    half = axes[dim].size // 2
    axes[dim] = pieces(tracer, axes[dim], [half, half])[0]
    return tuple(axes)


def flip(tracer: Tracer, call: Call) -> Axes:
    """Indices change places."""
    axes = list(tracer.axes(call.args[0]))
    for dim in call.args[1]:
        axes[dim] = take(axes[dim], slice(None, None, -1))
    return tuple(axes)


def only_tensors(value: object) -> list[Tensor]:
    """Return the tensors of a list of optional tensors."""
    return [item for item in value if isinstance(item, Tensor)] if isinstance(value, (list, tuple)) else []


RULES = {
    **dict.fromkeys(("cat", "concat"), cat),
    "stack": stack,
    "unbind": unbind,
    "select": select,
    "constant_pad_nd": pad,
    "glu": glu,
    "flip": flip,
}
