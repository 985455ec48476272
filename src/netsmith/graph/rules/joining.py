"""Operators that lay tensors end to end or take them apart."""

from __future__ import annotations

from itertools import accumulate, pairwise

from torch import Tensor

from netsmith.graph.axes import Axes, Dim, concatenate, fixed, take
from netsmith.graph.rules.elementwise import broadcast
from netsmith.graph.sizes import TracedInt
from netsmith.graph.tracer import Call, Tracer

FIXED_POSITION = "sliced at a fixed position"


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


def pieces(tracer: Tracer, axis: Dim, sizes: list[int]) -> list[Dim]:
    """Cut a dimension into consecutive pieces.

    Equal pieces of a dimension stay equal when each loses the same positions, so they are tied position by
    position. Pieces of unequal sizes follow one by one the sizes the code gave for them.
    """
    if len(sizes) == 1:
        return [axis]
    if len(set(sizes)) > 1:
        ends = list(accumulate(sizes, initial=0))
        parts = [take(axis, slice(start, end)) for start, end in pairwise(ends)]
        return [_piece(tracer, part, f"split.{position}") for position, part in enumerate(parts)]
    if not axis.owners:
        return [
            tracer.sized_by_code(fixed(size, axis.reason), f"split.{position}")
            for position, size in enumerate(sizes)
        ]
    which, within = tracer.factor(axis, [len(sizes), sizes[0]])
    tracer.freeze(which, "the pieces of a split")
    for position in range(len(sizes)):
        within = tracer.sized_by_code(within, f"split.{position}")
    return [within] * len(sizes)


def _piece(tracer: Tracer, part: Dim, slot: str) -> Dim:
    known = tracer.given.get(slot) is not None
    return tracer.sized_by_code(part, slot) if known else tracer.freeze(part, FIXED_POSITION)


def split(tracer: Tracer, call: Call) -> list[Axes]:
    """``split``, ``chunk`` and ``split_with_sizes``."""
    call.operation.kind = "view"
    axes = tracer.axes(call.args[0])
    dim = int(call.argument(2, "dim", 0)) % len(axes)
    parts = pieces(tracer, axes[dim], [tensor.shape[dim] for tensor in call.output])
    return [(*axes[:dim], part, *axes[dim + 1 :]) for part in parts]


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


def slice_(tracer: Tracer, call: Call) -> Axes:
    """A range of a dimension: what lies before a cut is as long as the code says, the rest is free."""
    call.operation.kind = "view"
    axes = list(tracer.axes(call.args[0]))
    dim = int(call.argument(1, "dim", 0)) % len(axes)
    axis, size = axes[dim], call.output.shape[dim]
    if size == axis.size:
        return tuple(axes)
    start, end = call.argument(2, "start") or 0, call.argument(3, "end")
    end = axis.size if end is None else end
    if call.argument(4, "step", 1) != 1:
        tracer.freeze(axis, FIXED_POSITION)
        axes[dim] = fixed(size, FIXED_POSITION if axis.owners else axis.reason)
        return tuple(axes)
    for name, position in (("start", start), ("end", end)):
        _cut_at(tracer, axis, position, ("cut", dim, name))
    axes[dim] = take(axis, slice(start, end))
    return tuple(axes)


def _cut_at(tracer: Tracer, axis: Dim, position: int, slot: tuple[str, int, str]) -> None:
    """A cut at a position counted from either end: what it counts stays as long as that."""
    if not axis.owners or not -axis.size < position < axis.size or position == 0:
        return
    counted = take(axis, slice(None, position) if position > 0 else slice(position, None))
    given = tracer.given.get(slot)
    if position < 0 and isinstance(given, TracedInt):
        given = -given
    if isinstance(given, TracedInt):
        tracer.size_follows(given, counted)
    else:
        tracer.freeze(counted, FIXED_POSITION)


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
    **dict.fromkeys(("split", "split_with_sizes", "chunk", "unsafe_split", "unsafe_chunk"), split),
    "unbind": unbind,
    "select": select,
    "slice": slice_,
    "constant_pad_nd": pad,
    "glu": glu,
    "flip": flip,
}
